"""Why numbers differ: each choice swapped alone, of two sets and of two results; what can't be swapped is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sigmascope.errors import ConfigError, IncomparableError, LoadError
from sigmascope.metrics import features as features_module
from sigmascope.metrics.evaluate import Evaluation, evaluate
from sigmascope.metrics.explain import Change, backwards, explain_sets
from sigmascope.metrics.explain_results import explain_results
from sigmascope.metrics.features import FeatureNetwork, FeatureOptions, Features
from sigmascope.metrics.images import Images, open_images
from sigmascope.metrics.protocols import PROTOCOLS, Protocol, Subsets
from sigmascope.metrics.results import NetworkFacts, Result, read_result, write_result
from torch import Tensor, nn

OURS = PROTOCOLS["sigmascope"]
N = 24


class Tiny(nn.Module):
    """Stands for Inception: its preprocessing, to a smaller size, then a few strided pixels times a weight."""

    def __init__(self, options: FeatureOptions, weight: float) -> None:
        super().__init__()
        self.preprocess = replace(options.preprocess, size=33)
        self.register_buffer("scale", weight * torch.eye(48))

    def forward(self, images: Tensor) -> Features:
        pooled = F.linear(self.preprocess(images)[:, :, 2::9, 3::9].flatten(1), self.scale)
        return Features(pooled, 4 * pooled[:, :5])


@pytest.fixture(autouse=True)
def tiny_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are one number in a file; "ab" stands for the published ones, 1."""

    def load(options: FeatureOptions) -> FeatureNetwork:
        if options.weights and not options.weights.is_file():
            raise LoadError(f"expected weights at {options.weights}, got no such file")
        weight = options.weights.read_text() if options.weights else "1"
        sha = "ab" if weight == "1" else f"sha of {weight}"
        return FeatureNetwork(
            Tiny(options, float(weight)), "inception", 48, f"tiny; {options.preprocess}", sha, options
        )

    monkeypatch.setitem(features_module.FEATURE_NETWORKS._entries, "inception", load)


def pictures(n: int, seed: int, offset: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return open_images(torch.from_numpy(rng.integers(offset, 256, (n, 3, 24, 24), dtype=np.uint8)))


SETS = {
    "a": pictures(N, 0),
    "b": pictures(N, 1, 20),
    "c": pictures(N, 2, 40),
    "a reversed": backwards(pictures(N, 0)),
}


def load(source: str) -> Images:
    return SETS[source]


def measured(
    protocol: Protocol, source: str = "a", n: int = N, metric: str = "fid", weights: Path | None = None
) -> Evaluation:
    options = FeatureOptions(weights=weights)
    return evaluate(SETS[source].first(n), SETS["b"], [metric], protocol, options)


def result(
    protocol: Protocol, source: str = "a", n: int = N, metric: str = "fid", weights: Path | None = None
) -> Result:
    found = measured(protocol, source, n, metric, weights)
    assert found.reference is not None
    return Result(
        protocol,
        (metric,),
        replace(found.generated, source=source),
        replace(found.reference, source="b"),
        {name: NetworkFacts(one.protocol, one.fingerprint, one.weights_sha256, str(weights or ""))
         for name, one in found.networks.items()},
        tuple(found.scores),
    )  # fmt: skip


def rows(changes: list[Change]) -> dict[str, Change]:
    assert len({change.choice for change in changes}) == len(changes)
    return {change.choice: change for change in changes}


def value(protocol: Protocol, *where: object) -> float:
    return measured(protocol, *where).scores[0].value  # type: ignore[arg-type]


def test_two_sets_one_choice_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("1.5")
    changes = explain_sets(SETS["a"], SETS["b"], OURS, metric="fid", other_weights=tmp_path / "other")
    found = rows(changes)
    base = found["baseline"].value
    assert base == value(OURS)
    values = {name: value(replace(OURS, resize=name)) for name in ("half-pixel", "antialias", "clean")}
    for choice, before, after in (
        ("resize: pixel centres", base, values["half-pixel"]),
        ("resize: antialias", values["half-pixel"], values["antialias"]),
        ("resize: bicubic filter", values["antialias"], values["clean"]),
        ("normalise", base, value(replace(OURS, normalise="unit"))),
        ("precision", base, value(replace(OURS, precision="bfloat16"))),
        ("N", base, value(OURS, "a", 12)),
        ("weights", base, base * 1.5**2),  # features 1.5 times as large
    ):
        assert found[choice].difference == pytest.approx(after - before, rel=1e-5, abs=1e-9), choice
        assert found[choice].difference != 0
    assert abs(found["order"].difference) < 1e-9 * base
    assert len(found) == 9


def test_from_the_middle_of_the_resizes() -> None:
    changes = explain_sets(SETS["a"], SETS["b"], PROTOCOLS["torchmetrics"], metric="fid")
    steps = [(change.choice, change.before, change.after) for change in changes if change.choice.startswith("resize")]
    assert steps == [
        ("resize: antialias", "antialias", "half-pixel"),
        ("resize: pixel centres", "half-pixel", "tf1"),
        ("resize: bicubic filter", "antialias", "clean"),
    ]


def test_what_other_metrics_are_made_by() -> None:
    kid = rows(explain_sets(SETS["a"], SETS["b"], OURS, metric="kid"))
    assert kid["subsets"].before == "all"
    score = rows(explain_sets(SETS["a"], SETS["b"], PROTOCOLS["torch-fidelity"], metric="inception_score"))
    assert score["splits"].after == "guided-diffusion"
    ordered = rows(
        explain_sets(SETS["a"], SETS["b"], replace(OURS, inception_score="guided-diffusion"), metric="inception_score")
    )
    assert "splits" not in ordered
    with pytest.raises(ConfigError, match="a metric without prompts"):
        explain_sets(SETS["a"], SETS["b"], OURS, metric="clip_score")


def test_two_results_every_choice_and_the_remainder(tmp_path: Path) -> None:
    """Resize, normalisation, precision, weights, N and the images themselves, all at once."""
    (tmp_path / "other").write_text("1.5")
    end = Protocol("theirs", resize="antialias", normalise="unit", precision="bfloat16")
    first, second = result(OURS), result(end, "c", 16, weights=tmp_path / "other")
    told = explain_results(first, second, load)
    found = rows(told.changes)
    start = value(OURS)
    singles = {
        "images": value(OURS, "c"),
        "N": value(OURS, "a", 16),
        "weights": measured(OURS, weights=tmp_path / "other").scores[0].value,
        "resize: pixel centres": value(replace(OURS, resize="half-pixel")),
        "normalise": value(replace(OURS, normalise="unit")),
        "precision": value(replace(OURS, precision="bfloat16")),
    }
    for choice, moved in singles.items():
        assert found[choice].value == moved, choice
        assert found[choice].difference == pytest.approx(moved - start), choice
    centres = singles["resize: pixel centres"]
    antialias = value(replace(OURS, resize="antialias")) - centres
    assert found["resize: antialias"].difference == pytest.approx(antialias)
    assert found["together"].value == pytest.approx(second.scores[0].value, rel=1e-12)
    accounted = sum(moved - start for moved in singles.values()) + antialias
    left = second.scores[0].value - start - accounted
    assert found["remainder"].difference == pytest.approx(left, rel=1e-9)
    assert abs(left) > 1e-2 * start  # the choices interact, or this shows nothing
    assert found["not recorded"].difference == pytest.approx(0, abs=1e-9)
    assert len(found) == len(singles) + 1 + 4
    assert told.metric == "FID"
    assert "expected two numbers of one protocol" in told.incomparable


def test_alike_or_only_in_order() -> None:
    same = explain_results(result(OURS), result(OURS), load)
    assert [change.choice for change in same.changes] == ["baseline", "nothing"]
    assert same.incomparable == ""
    chunks = replace(OURS, inception_score="guided-diffusion")
    ordered = [result(chunks, source, metric="inception_score") for source in ("a", "a reversed")]
    found = rows(explain_results(*ordered, load).changes)
    assert "order" in found
    assert "images" not in found


def test_a_subset_of_one_source_is_another_n() -> None:
    found = rows(explain_results(result(OURS), result(OURS, "a", 16), load).changes)
    assert set(found) == {"baseline", "N", "together", "remainder", "not recorded"}
    assert found["N"].value == value(OURS, "a", 16)
    assert found["remainder"].difference == pytest.approx(0, abs=1e-12)


def test_kid_and_its_subsets() -> None:
    """All samples or the mean of subsets; of protocols that share everything else."""
    subsets = replace(OURS, kid=Subsets(5, 10))
    found = rows(explain_results(result(OURS, metric="kid"), result(subsets, metric="kid"), load).changes)
    assert found["kid"].before == "all samples"
    assert found["kid"].value == value(subsets, "a", N, "kid")


def other_images(made: Result, **where: str) -> Result:
    return replace(made, generated=replace(made.generated, digest="x", content="x", **where))


@pytest.mark.parametrize(
    ("spoil", "choice", "note"),
    [
        (lambda r: other_images(r, source="gone"), "images", "expected images, got gone"),
        (lambda r: other_images(r), "images", "were changed between"),
        (lambda r: replace(r, generated=replace(r.generated, count=90)), "N", "expected 90 images, got 24"),
        (
            lambda r: replace(r, networks={"inception": NetworkFacts("", "", "ffff", "/nowhere/w.pth")}),
            "weights", "expected weights at /nowhere/w.pth, got no such file",
        ),
        (
            lambda r: replace(r, networks={"inception": NetworkFacts("", "", "ffff")}),
            "weights", "expected weights ffff..., got ab...: name their file",
        ),
    ],
    ids=["no images", "changed images", "too few", "no weights", "other weights"],
)  # fmt: skip
def test_what_cannot_be_swapped_is_told(spoil: Callable[[Result], Result], choice: str, note: str) -> None:
    def there(source: str) -> Images:
        if source not in SETS:
            raise ConfigError(f"expected images, got {source}")
        return SETS[source]

    found = rows(explain_results(result(OURS), spoil(result(replace(OURS, normalise="unit"))), there).changes)
    assert math.isnan(found[choice].difference)
    assert note in found[choice].note
    assert math.isnan(found["remainder"].difference)
    assert math.isfinite(found["normalise"].difference)  # and the others are still swapped


def test_a_first_result_that_cannot_be_made_again_says_so() -> None:
    first = result(OURS)
    assert "no longer those measured" in explain_results(other_images(first), result(OURS, "c"), load).changes[0].note
    other = replace(first, scores=(replace(first.scores[0], value=first.scores[0].value * 1.01),))
    told = explain_results(other, result(OURS, "c"), load)
    assert "stored as" in told.changes[0].note
    assert abs(rows(told.changes)["not recorded"].difference) > 1e-3


def test_results_with_nothing_in_common_are_incomparable() -> None:
    with pytest.raises(IncomparableError, match="a metric of sets of images in both results, got fid and kid"):
        explain_results(result(OURS), result(OURS, metric="kid"), load)
    with pytest.raises(IncomparableError, match="expected kid in both results"):
        explain_results(result(OURS), result(OURS), load, metric="kid")


def test_results_there_and_back(tmp_path: Path) -> None:
    made = replace(result(replace(PROTOCOLS["clean"], note="")), warnings=("one",), seconds=2.5, prompts="p.txt")
    write_result(tmp_path / "one.json", made)
    found = read_result(tmp_path / "one.json")
    assert found.protocol == made.protocol
    assert repr(found) == repr(made)  # NaN, which no interval is, equals nothing but looks the same
    for content in ("{", "[]", "{}", '{"schema": 2}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(ConfigError, match=r"expected a result of `sigmascope metrics --output`"):
            read_result(tmp_path / "bad.json")
