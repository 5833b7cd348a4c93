"""Inception-v3 against torch-fidelity, pytorch-fid, clean-fid and torchmetrics, whose whole feature tables on seeded
weights golden.npz keeps."""

from __future__ import annotations

import copy
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
from PIL import Image
from sigmascope.errors import DataError
from sigmascope.metrics.features import FeatureOptions, inception
from sigmascope.metrics.features.inception import InceptionV3, fold
from sigmascope.metrics.features.preprocess import (
    TORCH_FIDELITY,
    Preprocess,
    resize_antialias,
    resize_clean,
    resize_half_pixel,
    resize_tf1,
)
from sigmascope.metrics.features.weights import PublishedWeights
from sigmascope.metrics.protocols import PROTOCOLS
from torch import Tensor, nn

HERE = Path(__file__).parent
SEEDED = runpy.run_path(str(HERE / "make_golden.py"))
GOLDEN: dict[str, Any] = json.loads((HERE / "golden.json").read_text())
TABLES = {name: torch.from_numpy(table) for name, table in np.load(HERE / "golden.npz").items()}
# Any float32 graph is 3e-7 (pooled) and 4e-7 (logits) from float64 here, the peers' included, and two graphs, or one at
# two batch sizes, differ by 3e-7 to 5e-7; an entry near 0 keeps fewer digits of its own than the table has.
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


def deviation(found: Tensor, peer: str) -> float:
    """Of a table from a peer's, the larger of two: the difference's norm relative to the peer's norm, and its largest
    entry relative to the peer's largest. Infinite for another shape."""
    golden = TABLES[peer].double()
    if found.shape != golden.shape:
        return float("inf")
    difference = found.double() - golden
    return max(float(difference.norm() / golden.norm()), float(difference.abs().max() / golden.abs().max()))


def test_features_and_logits_agree_with_the_peers(network: InceptionV3) -> None:
    pooled, logits, _ = network(SEEDED["seeded_images"]())
    assert deviation(pooled, "torch-fidelity") < TOLERANCE
    assert deviation(pooled, "pytorch-fid, resized by torch-fidelity") < TOLERANCE
    assert deviation(logits, "logits") < TOLERANCE
    network.logits_bias = True
    biased = network(SEEDED["seeded_images"]()).logits
    network.logits_bias = False
    torch.testing.assert_close(biased - logits, network.fc.bias.expand(2, -1), rtol=0, atol=1e-4)
    assert deviation(biased, "logits") > 100 * TOLERANCE


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
        assert deviation(changed(SEEDED["seeded_images"]()).pooled, "torch-fidelity") > 100 * TOLERANCE, name


def test_resize_agrees_with_the_peer_and_a_loop() -> None:
    images = SEEDED["seeded_images"]().float()
    assert torch.equal(resize_tf1(images, 299)[:, :, ::13, ::13], TABLES["resized"])
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
    assert deviation(half_pixel[:, :, ::13, ::13], "resized") > 1e-3


@pytest.mark.parametrize("name", ["pytorch-fid", "clean", "torchmetrics"])
def test_features_of_every_protocol_agree_with_its_tool(network: InceptionV3, name: str) -> None:
    protocol = PROTOCOLS[name]
    network.preprocess = Preprocess(protocol.resize, protocol.normalise)
    found = network(SEEDED["seeded_images"]()).pooled
    network.preprocess = TORCH_FIDELITY
    assert deviation(found, name) < TOLERANCE
    for other in {"torch-fidelity", "pytorch-fid", "clean", "torchmetrics"} - {name}:
        assert deviation(found, other) > 1000 * TOLERANCE, other  # another resize would be seen


@pytest.mark.parametrize(("height", "width"), [(40, 56), (300, 333), (299, 32)])
def test_clean_resize_is_pillow_s(height: int, width: int) -> None:
    """Pillow keeps a float32 image between its two passes: each rounding is 2^-24 of 255 at most, twice."""
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.float32)
    expected = np.asarray(Image.fromarray(image).resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255)
    found = resize_clean(torch.from_numpy(image)[None, None], 299)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * 255 * 2**-24)


def test_folding_changes_rounding_only(network: InceptionV3) -> None:
    """What runs is the folded graph: it is held to the peers' tables as the published one is, and is as near to
    float64: two norms of thousands of independent roundings differ by far less than the half allowed here."""
    images = SEEDED["seeded_images"]()
    folded, exact = fold(copy.deepcopy(network)), copy.deepcopy(network).double()(images[:1])
    after = folded(images)
    assert deviation(after.pooled, "torch-fidelity") < TOLERANCE
    assert deviation(after.logits, "logits") < TOLERANCE
    for found, published, truth in zip(after, network(images), exact, strict=True):
        errors = [float((table[:1] - truth).norm() / truth.norm()) for table in (found, published)]
        assert errors[0] < 1.5 * errors[1]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules()) == 0


def test_compiled_it_is_one_graph() -> None:
    """Traced, not compiled: a break would leave torch.compile dozens of small graphs, or the eager network."""
    traced = torch.compile(fold(InceptionV3()), backend="eager", fullgraph=True)
    with torch.inference_mode():
        assert traced(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).pooled.shape == (1, 2048)


def test_spatial_features_are_mixed_6_conv_s_first_channels(network: InceptionV3) -> None:
    seen = []
    hook = network.Mixed_6d.branch1x1.register_forward_hook(lambda *call: seen.append(call[2]))
    spatial = network(SEEDED["seeded_images"]()).spatial
    hook.remove()
    assert spatial is not None
    assert spatial.shape == (2, 2023)
    assert torch.equal(spatial, seen[0][:, :7].flatten(1))
    assert seen[0].shape[1:] == (192, 17, 17)


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
    assert deviation(loaded(images).pooled, "torch-fidelity") < TOLERANCE
    grey = images[:1, :1]
    torch.testing.assert_close(loaded(grey).pooled, network(grey.expand(-1, 3, -1, -1)).pooled, rtol=1e-4, atol=1e-5)


def test_other_inputs_raise(network: InceptionV3) -> None:
    for images in (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.uint8)):
        with pytest.raises(DataError, match=r"uint8 images \(N, 3, H, W\)"):
            network(images)


def test_antialias_is_pillow_s_bilinear_where_images_shrink() -> None:
    """Where they grow it changes nothing, so the seeded images, all smaller than 299, can't see whether it is on. In
    float64 here; Pillow rounds to float32 after either axis, half an ulp of 255 each: 2 x 7.6e-6."""
    image = np.random.default_rng(0).integers(0, 256, (700, 450), dtype=np.uint8)
    given = torch.from_numpy(image)[None, None].double()
    pillow = Image.fromarray(image.astype(np.float32)).resize((299, 299), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(pillow)).double()
    torch.testing.assert_close(resize_antialias(given, 299)[0, 0], expected, rtol=0, atol=2e-5)
    assert (resize_half_pixel(given, 299)[0, 0] - expected).abs().mean() > 10
