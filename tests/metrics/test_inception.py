"""Inception-v3 against torch-fidelity and pytorch-fid, whose numbers on seeded weights golden.json keeps."""

from __future__ import annotations

import functools
import hashlib
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sigmascope.errors import DataError
from sigmascope.metrics.features import FeatureOptions, inception
from sigmascope.metrics.features.inception import InceptionV3, resize_tf1
from sigmascope.metrics.features.weights import PublishedWeights
from torch import Tensor, nn

HERE = Path(__file__).parent
SEEDED = runpy.run_path(str(HERE / "make_golden.py"))
GOLDEN: dict[str, Any] = json.loads((HERE / "golden.json").read_text())
# float32 against float64 on these weights differs by 3e-7 of the norm; another order of summation may do as much.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    shapes = {name: tuple(value.shape) for name, value in InceptionV3().state_dict().items()}
    return SEEDED["seeded_state"](shapes)


@pytest.fixture(scope="module")
def network(state: dict[str, Tensor]) -> InceptionV3:
    made = InceptionV3().eval().requires_grad_(False)
    made.load_state_dict(state)
    return made


def deviation(found: Tensor, golden: dict[str, Any]) -> float:
    """Largest difference relative to the root mean square of the table; infinite for another shape."""
    ours = SEEDED["summary"](found)
    if ours["shape"] != golden["shape"]:
        return float("inf")
    scale = golden["norm"] / np.sqrt(np.prod(golden["shape"]))
    entries = np.abs(np.array(ours["entries"]) - golden["entries"]).max() / scale
    return float(max(entries, abs(ours["norm"] / golden["norm"] - 1)))


def test_features_and_logits_agree_with_the_peers(network: InceptionV3) -> None:
    pooled, logits = network(SEEDED["seeded_images"]())
    assert deviation(pooled, GOLDEN["pooled"]) < TOLERANCE
    assert deviation(pooled, GOLDEN["pooled_pytorch_fid"]) < TOLERANCE
    assert deviation(logits, GOLDEN["logits"]) < TOLERANCE
    network.logits_bias = True
    biased = network(SEEDED["seeded_images"]()).logits
    network.logits_bias = False
    torch.testing.assert_close(biased - logits, network.fc.bias.expand(2, -1), rtol=0, atol=1e-4)
    assert deviation(biased, GOLDEN["logits"]) > 100 * TOLERANCE


def planted(network: InceptionV3) -> Iterator[tuple[str, nn.Module]]:
    """The ways in which other ports differ, one at a time, each undone afterwards."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.eps = 1e-5
    yield "torch's batch-norm epsilon", network
    for norm in norms:
        norm.eps = 1e-3
    average = network.Mixed_7b.pool
    network.Mixed_7c.pool, maximum = average, network.Mixed_7c.pool
    yield "average pool in the last block", network
    network.Mixed_7c.pool = maximum
    network.Mixed_7b.pool = functools.partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1)
    yield "padding counted in an average", network
    network.Mixed_7b.pool = average


def test_planted_differences_are_caught(network: InceptionV3) -> None:
    for name, changed in planted(network):
        assert deviation(changed(SEEDED["seeded_images"]()).pooled, GOLDEN["pooled"]) > 100 * TOLERANCE, name


def test_resize_agrees_with_the_peer_and_a_loop() -> None:
    images = SEEDED["seeded_images"]().float()
    assert deviation(resize_tf1(images, 299).flatten(1), GOLDEN["resized"]) < 1e-7
    small = images[:, :, :5, :7].double()
    found = resize_tf1(small, 11)
    for i in range(11):
        for j in range(11):
            y, x = i * 5 / 11, j * 7 / 11
            top, left = int(y), int(x)
            bottom, right = min(top + 1, 4), min(left + 1, 6)
            up = small[..., top, left] * (1 - x + left) + small[..., top, right] * (x - left)
            down = small[..., bottom, left] * (1 - x + left) + small[..., bottom, right] * (x - left)
            expected = up * (1 - y + top) + down * (y - top)
            torch.testing.assert_close(found[..., i, j], expected, rtol=1e-12, atol=1e-12)
    half_pixel = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False)
    assert deviation(half_pixel.flatten(1), GOLDEN["resized"]) > 1e-3


def test_names_and_shapes_are_the_published_file_s(network: InceptionV3) -> None:
    """They are torch-fidelity's, which loads that file strictly."""
    assert len(network.state_dict()) == 6 * 94 + 2
    assert SEEDED["names_hash"](network.state_dict()) == GOLDEN["names"]


def test_loaded_by_path_as_a_feature_network(
    network: InceptionV3, state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "seeded.pth"
    torch.save({name: value for name, value in state.items() if "num_batches" not in name}, file)  # old files lack it
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "WEIGHTS", PublishedWeights((f"seeded-{digest[:8]}.pth",), "https://example.org"))
    loaded = inception.load_inception(FeatureOptions(weights=file, repeat_grey=True))
    assert (loaded.name, loaded.dimension) == ("inception", 2048)
    assert "TF1 bilinear" in loaded.protocol
    images = SEEDED["seeded_images"]()
    assert deviation(loaded(images).pooled, GOLDEN["pooled"]) < TOLERANCE
    grey = images[:1, :1]
    torch.testing.assert_close(loaded(grey).pooled, network(grey.expand(-1, 3, -1, -1)).pooled, rtol=1e-4, atol=1e-5)


def test_other_inputs_raise(network: InceptionV3) -> None:
    for images in (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)):
        with pytest.raises(DataError, match=r"uint8 images \(N, 3, H, W\)"):
            network(images)
