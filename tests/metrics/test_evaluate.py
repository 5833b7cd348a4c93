"""Metrics in one call: names, needs, protocols, warnings, statistics, pairs; class order."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError, IncomparableError
from sigmascope.metrics import features as features_module
from sigmascope.metrics.evaluate import evaluate
from sigmascope.metrics.features import FeatureNetwork, FeatureOptions, Features
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.images import Images, open_images
from sigmascope.metrics.kernel import kernel_distance, kernel_distance_subsets
from sigmascope.metrics.manifold import prdc
from sigmascope.metrics.protocols import PROTOCOLS, Protocol, Subsets
from sigmascope.metrics.reference import Provenance, Statistics
from sigmascope.metrics.scores import METRICS, require_comparable
from torch import Tensor, nn

DIGITS = replace(PROTOCOLS["sigmascope"], network="digits")


class Tiny(nn.Module):
    """Stands for Inception: its preprocessing, then a few strided pixels."""

    def __init__(self, options: FeatureOptions) -> None:
        super().__init__()
        self.preprocess = options.preprocess

    def forward(self, images: Tensor) -> Features:
        x = self.preprocess(images)
        pooled = x[:, :, 20::90, 25::90].flatten(1)
        return Features(pooled, 4 * pooled[:, :5], x[:, 0, ::150, ::150].flatten(1))


@pytest.fixture
def tiny_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(options: FeatureOptions) -> FeatureNetwork:
        return FeatureNetwork(Tiny(options), "inception", 48, f"tiny; {options.preprocess}", "ab", options)

    monkeypatch.setitem(features_module.FEATURE_NETWORKS._entries, "inception", load)


def pictures(n: int, seed: int, size: int = 24, offset: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return open_images(torch.from_numpy(rng.integers(offset, 256, (n, 3, size, size), dtype=np.uint8)))


def digits(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)


def test_numbers_are_those_of_the_pure_functions() -> None:
    x, r = digits(88, 0), digits(80, 1)  # whole calls of 4: a padded one may round its float32 differently
    found = evaluate(open_images(x), open_images(r), ["frechet_distance", "kid", "prdc"], DIGITS)
    network = features_module.load_features("digits")
    a, b = (torch.cat([network(part).pooled for part in t.split(4)]) for t in (x, r))
    values = {score.metric: score.value for score in found.scores}
    assert values["Fréchet distance (digits)"] == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert values["Kernel distance (digits)"] == pytest.approx(kernel_distance(a, b), rel=1e-6)
    for name, value in prdc(a, b)._asdict().items():
        assert values[f"{name.capitalize()} (digits)"] == value
    assert all(score.low <= score.value <= score.high for score in found.scores[:2])


def test_every_metric_has_a_docstring_and_works(tiny_inception: None) -> None:
    names = [name for name in METRICS if METRICS[name].network in (None, "inception")]
    found = evaluate(pictures(60, 0), pictures(60, 1, offset=10), names, PROTOCOLS["sigmascope"])
    assert {"FID", "sFID", "KID", "MIND", "Vendi score", "FID-infinity"} <= {score.metric for score in found.scores}
    assert all(math.isfinite(score.value) for score in found.scores)
    assert all(METRICS[name].score.__doc__ for name in METRICS)


def test_protocols_move_the_numbers_and_their_fingerprints(tiny_inception: None) -> None:
    kid = Subsets(5, 20)
    found = {
        name: evaluate(pictures(60, 0), pictures(60, 1), ["fid"], PROTOCOLS[name]).scores[0]
        for name in ("torch-fidelity", "pytorch-fid", "clean", "torchmetrics")
    }
    assert len({score.fingerprint for score in found.values()}) == 4
    assert len({score.value for score in found.values()}) == 4
    with pytest.raises(IncomparableError, match="one protocol, got FID"):
        require_comparable(found["clean"], found["pytorch-fid"])
    require_comparable(found["clean"], found["clean"])
    chosen = replace(PROTOCOLS["torch-fidelity"], kid=kid, splits=3)
    one = evaluate(pictures(60, 0), pictures(60, 1), ["kid", "inception_score"], chosen)
    tables = [Tiny(FeatureOptions())(torch.stack(list(pictures(60, seed).read()))).pooled for seed in (0, 1)]
    assert one.scores[0].value == pytest.approx(kernel_distance_subsets(*tables, kid).mean, rel=1e-6)
    assert "RandomState(2020)" in one.scores[1].protocol


def test_named_protocols_fix_every_choice() -> None:
    assert set(PROTOCOLS) == {"sigmascope", "torch-fidelity", "pytorch-fid", "clean", "torchmetrics", "adm", "dgm-eval"}
    assert len({PROTOCOLS[name].fingerprint for name in PROTOCOLS}) == 7
    assert Protocol("a").fingerprint == Protocol("b").fingerprint  # a name is no choice
    base = Protocol("a")
    for change in ({"resize": "clean"}, {"normalise": "unit"}, {"precision": "bfloat16"}, {"kid": Subsets()}):
        assert replace(base, **change).fingerprint != base.fingerprint


def test_warnings_name_the_set(tiny_inception: None) -> None:
    images = open_images(torch.zeros(30, 3, 8, 8, dtype=torch.uint8))
    found = evaluate(pictures(30, 0), images, ["frechet_distance"], PROTOCOLS["sigmascope"])
    assert any(sentence.startswith("generated: 30 images for 48 dimensions") for sentence in found.warnings)
    assert any(sentence.startswith("reference: 29 of 30 images are exact copies") for sentence in found.warnings)


def test_class_ordered_samples_are_warned_of_for_the_inception_score(tiny_inception: None) -> None:
    """Known labels tell, and where there are none the classes the network sees: the bright spot that is its largest
    logit."""
    classes = torch.arange(100).div(25, rounding_mode="floor")
    pixels = torch.randint(0, 90, (100, 3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for image, one in zip(pixels, classes.tolist(), strict=True):
        image[:, :4, max(0, 7 * one) : 7 * one + 4] = 250
    shuffle = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    logits = Tiny(FeatureOptions())(pixels).logits
    assert logits is not None
    assert torch.equal(logits.argmax(1), classes)

    def warned(images: Images, metric: str = "inception_score") -> bool:
        found = evaluate(images, None if metric == "inception_score" else pictures(60, 1), [metric], PROTOCOLS["adm"])
        return any("generated: ordered by class" in sentence for sentence in found.warnings)

    ordered = open_images(pixels)
    assert ordered.labels is None
    assert warned(ordered)
    assert not warned(open_images(pixels[shuffle]))
    assert not warned(ordered, "fid")  # to which order is nothing
    labelled = replace(open_images(pixels[shuffle]), labels=classes.tolist())  # labels count more than what it sees
    assert warned(labelled)


def test_statistics_as_reference() -> None:
    x, r = open_images(digits(90, 0)), open_images(digits(80, 1))
    whole = evaluate(x, r, ["frechet_distance"], DIGITS).scores[0]
    made = evaluate(r, None, ["vendi"], DIGITS)
    made = evaluate(r, x, ["frechet_distance"], DIGITS)
    network = made.networks["digits"]
    kept = Statistics.of(made.features["digits"], Provenance(n=80, network=network.fingerprint))
    found = evaluate(x, kept, ["frechet_distance"], DIGITS).scores[0]
    assert found.value == pytest.approx(whole.value, rel=1e-9)
    other = replace(kept, provenance=Provenance(n=80, network="000000000000"))
    with pytest.raises(IncomparableError, match="expected statistics of digits classifier"):
        evaluate(x, other, ["frechet_distance"], DIGITS)
    with pytest.raises(DataError, match="got statistics"):
        evaluate(x, kept, ["kid"], DIGITS)
    with pytest.raises(ConfigError, match="expected a reference"):
        evaluate(x, None, ["kid"], DIGITS)
    with pytest.raises(DataError, match="64 dimensions, got 3"):
        evaluate(x, Statistics(np.zeros(3), np.eye(3)), ["frechet_distance"], DIGITS)


def test_pairs() -> None:
    x = pictures(8, 0, 32, offset=20)
    other = open_images(torch.stack(list(x.read())) - 5)
    (score,) = evaluate(x, other, ["psnr"], DIGITS).scores
    assert score.value == pytest.approx(20 * math.log10(255 / 5), rel=1e-6)
    with pytest.raises(DataError, match="target for each of 8 images, got 7 images"):
        evaluate(x, other.first(7), ["ssim"], DIGITS)


def test_unknown_names_before_any_image(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("read")

    images = Images("never", 5, never)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown metric 'fidd'"):
        evaluate(images, images, ["fidd"], DIGITS)
