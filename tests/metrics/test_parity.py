"""Parity with the peers, protocol by protocol: from images to numbers on shared seeded weights, and on raw features;
and that the comparison sees the mistakes people make.

make_golden.py wrote what torch-fidelity, pytorch-fid, clean-fid, prdc and torchmetrics give. Numbers are held to 1e-6
relative. That asks for sets that differ: float32 features of any two graphs, or of one at two batch sizes, are 4e-7
apart, so a KID of 0 plus or minus noise, a difference of nearly equal numbers, has no such digits in any tool.
"""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sigmascope.metrics import clip_score as clip_score_module
from sigmascope.metrics import kernel, moments
from sigmascope.metrics.evaluate import evaluate
from sigmascope.metrics.features import FeatureOptions, inception, preprocess
from sigmascope.metrics.features.inception import InceptionV3
from sigmascope.metrics.features.weights import PublishedWeights
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.images import open_images
from sigmascope.metrics.inception_score import inception_score
from sigmascope.metrics.kernel import kernel_distance_subsets
from sigmascope.metrics.manifold import prdc, precision_recall
from sigmascope.metrics.moments import Moments
from sigmascope.metrics.protocols import PROTOCOLS, Protocol, Subsets
from torch import Tensor

HERE = Path(__file__).parent
SEEDED = runpy.run_path(str(HERE / "make_golden.py"))
GOLDEN: dict[str, Any] = json.loads((HERE / "golden.json").read_text())
SETS = SEEDED["SETS"]
TOLERANCE = 1e-6
METRICS = {
    "torch-fidelity": ["fid", "kid", "inception_score", "precision_recall", "prdc"],
    "pytorch-fid": ["fid"],
    "clean": ["fid", "kid"],
    "torchmetrics": ["fid", "kid", "inception_score"],
}
SLOW = ("pytorch-fid", "torchmetrics")
"""Left to `make test-slow`: the default tests hold their features in test_inception.py, their KID and inception score
in test_kernel.py and test_inception_score.py."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> FeatureOptions:
    """The seeded weights as a file that the product loads as it loads the published one."""
    file = tmp_path_factory.mktemp("weights") / "seeded.pth"
    shapes = {name: tuple(value.shape) for name, value in InceptionV3().state_dict().items()}
    torch.save(SEEDED["seeded_state"](shapes), file)
    return FeatureOptions(weights=file)


@pytest.fixture
def seeded(weights: FeatureOptions, monkeypatch: pytest.MonkeyPatch) -> FeatureOptions:
    assert weights.weights is not None
    digest = hashlib.sha256(weights.weights.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "WEIGHTS", PublishedWeights((f"seeded-{digest[:8]}.pth",), "https://example.org"))
    return weights


def from_images(protocol: Protocol, metrics: list[str], options: FeatureOptions) -> dict[str, float]:
    """What `sigmascope metrics` computes of the seeded sets, with parts and subsets that 8 images allow."""
    kid = protocol.kid and replace(protocol.kid, count=SETS["subsets"], size=SETS["size"])
    sets = (open_images(images) for images in SEEDED["seeded_sets"]())
    found = evaluate(*sets, metrics, replace(protocol, kid=kid, splits=SETS["splits"]), options)
    return {score.metric: score.value for score in found.scores}


def of_peer(protocol: str) -> dict[str, float]:
    golden = GOLDEN["from_images"][protocol]
    named = {"FID": golden["fid"], **{name.capitalize(): value for name, value in golden.get("prdc", {}).items()}}
    for name, key in (("KID", "kid"), ("Inception score", "inception_score")):
        if key in golden:
            named[name] = float(np.ravel(golden[key])[0])
    if "precision_recall" in golden:
        named["Precision (k=3)"], named["Recall (k=3)"] = golden["precision_recall"]
    return named


def differing(found: dict[str, float], expected: dict[str, float], tolerance: float) -> set[str]:
    assert found.keys() == expected.keys()
    return {name for name, value in expected.items() if found[name] != pytest.approx(value, rel=tolerance, abs=0)}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in METRICS]
)
def test_from_images_to_the_peer_s_numbers(name: str, seeded: FeatureOptions) -> None:
    """Each library's own resize and float32 network, then its own metrics; here the whole of evaluate()."""
    found = from_images(PROTOCOLS[name], METRICS[name], seeded)
    assert differing(found, of_peer(name), TOLERANCE) == set(), (found, of_peer(name))
    assert all(abs(value) > 0 for value in found.values())


def test_a_wrong_resize_is_seen_in_every_number(seeded: FeatureOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted under the right protocol's name, as a library does whose default changes. The nearest one: the others
    are told apart by their features in test_inception.py."""
    monkeypatch.setitem(preprocess.RESIZES._entries, "tf1", preprocess.RESIZES["half-pixel"])
    found = from_images(PROTOCOLS["torch-fidelity"], ["fid", "kid", "inception_score"], seeded)
    expected = {name: of_peer("torch-fidelity")[name] for name in found}
    assert differing(found, expected, 100 * TOLERANCE) == set(found)


COSINES = torch.tensor([0.3, -0.2, 0.1, -0.4, 0.5], dtype=torch.float64)


def from_features() -> dict[str, float]:
    """Of the seeded features and logits; CLIP scores of cosines whose mean is above 0, and below it."""
    x, r = SEEDED["seeded_features"]()
    subsets = Subsets(20, 60)
    return {
        "FID": frechet_distance(x, r),
        "FID of moments": frechet_distance(Moments.of(x), Moments.of(r)),
        "KID": kernel_distance_subsets(x, r, subsets).mean,
        "KID (clean)": kernel_distance_subsets(x, r, replace(subsets, seed=0, first="real")).mean,
        "IS": inception_score(SEEDED["seeded_logits"]()).mean,
        **prdc(x, r)._asdict(),
        **{f"k=3 {name}": value for name, value in precision_recall(x, r)._asdict().items()},
        "CLIP score": clip_score_module.clip_score(COSINES),
        "CLIP score below 0": clip_score_module.clip_score(-COSINES),
        "CLIP score (hessel)": clip_score_module.clip_score(COSINES, "hessel"),
    }


def expected_from_features() -> dict[str, float]:
    return {
        "FID": GOLDEN["frechet_torch_fidelity"],
        "FID of moments": GOLDEN["frechet_pytorch_fid"],
        "KID": GOLDEN["kid_torch_fidelity"][0],
        "KID (clean)": GOLDEN["kid_clean"],
        "IS": GOLDEN["inception_score"][0],
        **GOLDEN["prdc"],
        **dict(zip(("k=3 precision", "k=3 recall"), GOLDEN["precision_recall_torch_fidelity"], strict=True)),
        "CLIP score": 100 * 0.3 / 5,  # torchmetrics: max(mean(100 cos), 0)
        "CLIP score below 0": 0.0,
        "CLIP score (hessel)": 2.5 * 0.9 / 5,  # Hessel et al. 2021: every pair clamped alone
    }


def test_on_raw_features() -> None:
    """float64 on both sides, but for torch-fidelity's precision and recall: means of float32 flags, 6e-8 off."""
    found, expected = from_features(), expected_from_features()
    assert differing(found, expected, 1e-7) == set()
    exact = [name for name in found if not name.startswith("k=3")]
    assert differing({n: found[n] for n in exact}, {n: expected[n] for n in exact}, 1e-9) == set()


def _ddof_0(patch: pytest.MonkeyPatch) -> None:
    right = Moments.covariance.fget
    assert right is not None
    patch.setattr(moments.Moments, "covariance", property(lambda self: right(self) * (self.n - 1) / self.n))


def _biased_kid(patch: pytest.MonkeyPatch) -> None:
    def biased(x: Tensor, r: Tensor, drawn: list[tuple[Tensor, Tensor]]) -> Tensor:
        def mean(a: Tensor, b: Tensor) -> Tensor:
            return kernel.cubic(a @ b.T, a.shape[1]).mean()

        return torch.stack([mean(x[a], x[a]) + mean(r[b], r[b]) - 2 * mean(x[a], r[b]) for a, b in drawn])

    patch.setattr(kernel, "_from_whole", biased)


def _clamped_mean(patch: pytest.MonkeyPatch) -> None:
    def planted(similarity: Tensor, scale: str = "torchmetrics") -> float:
        return (100 if scale == "torchmetrics" else 2.5) * max(float(similarity.mean()), 0)

    patch.setattr(clip_score_module, "clip_score", planted)


def _clamped_pairs(patch: pytest.MonkeyPatch) -> None:
    def planted(similarity: Tensor, scale: str = "torchmetrics") -> float:
        return (100 if scale == "torchmetrics" else 2.5) * float(similarity.clamp_min(0).mean())

    patch.setattr(clip_score_module, "clip_score", planted)


@pytest.mark.parametrize(
    ("plant", "spoilt"),
    [
        (_ddof_0, {"FID of moments"}),
        (_biased_kid, {"KID", "KID (clean)"}),
        (_clamped_mean, {"CLIP score (hessel)"}),
        (_clamped_pairs, {"CLIP score", "CLIP score below 0"}),
    ],
)
def test_a_planted_mistake_is_seen_where_it_is(
    plant: Callable[[pytest.MonkeyPatch], None], spoilt: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert differing(from_features(), expected_from_features(), 1e-3) == spoilt
