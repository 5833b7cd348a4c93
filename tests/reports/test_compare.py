"""Planted differences must be found where they are, and nowhere else; what can't be compared must say why."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sigmascope.errors import IncomparableError
from sigmascope.reports.compare import (
    Settings,
    compare_all,
    compare_levels,
    differences,
    find_bands,
    references,
    require_comparable,
)  # fmt: skip
from sigmascope.reports.compare_metrics import compare_metrics
from sigmascope.reports.report import Report
from sigmascope.reports.tables import collect

from . import synthetic


def test_ratio_is_the_ratio_of_means(report: Report) -> None:
    levels = compare_levels(report.tables.evaluations, "digits-eps", "digits-regressed")
    means = report.tables.evaluations.groupby(["model", "level"])["error"].mean()
    expected = means["digits-regressed"] / means["digits-eps"]
    np.testing.assert_allclose(levels["ratio"], expected, rtol=1e-12)
    assert (levels["low"] < levels["ratio"]).all()
    assert (levels["band_low"] <= levels["low"]).all(), (
        "an interval for all levels at once can't be narrower than one's"
    )


def test_the_planted_band_is_found_exactly(report: Report) -> None:
    levels = compare_levels(report.tables.evaluations, "digits-eps", "digits-regressed")
    worse = [band for band in find_bands(levels, "digits-regressed") if band.ratio > 1]
    planted = synthetic.SIGMAS[synthetic.planted_levels()]
    assert len(worse) == 1
    assert (worse[0].sigma_low, worse[0].sigma_high) == (planted[0], planted[-1])
    assert worse[0].low < synthetic.PLANTED < worse[0].high
    assert set(levels["verdict"][synthetic.planted_levels()]) == {"fail"}


def test_identical_models_differ_nowhere(report: Report) -> None:
    same = report.tables.evaluations.query("model == 'digits-eps'")
    both = pd.concat([same, same.assign(model="copy")])
    levels = compare_levels(both, "digits-eps", "copy")
    assert (levels[["ratio", "low", "high", "band_low", "band_high"]] == 1).all(axis=None)
    assert set(levels["verdict"]) == {"pass"}
    assert find_bands(levels, "copy") == ()


def test_equally_good_models_raise_few_false_alarms() -> None:
    """Over 200 worlds without a difference, any level of 24 fails in at most alpha = 5% of them: 10 expected, and more
    than 20 has a probability below 0.002 (binomial), so chance fails the test less than once in 500 seeds."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        frames = [
            pd.DataFrame(
                {
                    "model": model, "image": np.repeat(np.arange(40), 24), "level": np.tile(np.arange(24), 40),
                    "draw": 0, "sigma": np.tile(synthetic.SIGMAS, 40), "error": np.exp(0.1 * rng.standard_normal(960)),
                }
            )
            for model in ("a", "b")
        ]  # fmt: skip
        levels = compare_levels(pd.concat(frames), "a", "b", Settings(margin=1e-6, resamples=500))
        alarms += bool((levels["verdict"] == "fail").any())
    assert alarms <= 20


def test_bands_merge_neighbours_of_one_kind_only() -> None:
    frame = pd.DataFrame(
        {
            "sigma": [1.0, 2.0, 3.0, 4.0, 5.0], "ratio": [1.2, 1.8, 0.5, 1.0, 1.1],
            "band_low": [1.1, 1.6, 0.4, 0.9, 1.05], "band_high": [1.3, 2.0, 0.6, 1.1, 1.15],
            "change": ["worse", "worse", "better", "same", "worse"],
        }
    )  # fmt: skip
    bands = find_bands(frame, "m")
    assert [(band.sigma_low, band.sigma_high) for band in bands] == [(1, 2), (5, 5), (3, 3)], "worst first"
    assert bands[0].ratio == pytest.approx(math.sqrt(1.2 * 1.8))
    assert bands[0].low == pytest.approx(math.sqrt(1.1 * 1.6))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda rows: rows.assign(sigma=rows["sigma"] * 1.001), "sigma grid"),
        (lambda rows: rows[rows["level"] > 0], "sigma grid"),
        (lambda rows: rows.assign(image=rows["image"] + 1), "image, level, draw"),
        (lambda rows: rows[rows["image"] < 1], "image, level, draw"),
        (lambda rows: rows.assign(draw=rows["draw"] + 5), "image, level, draw"),
        (lambda rows: rows.iloc[:0], "digits-v"),
    ],
)
def test_unpaired_evaluations_are_refused(report: Report, spoil: object, named: str) -> None:
    assert callable(spoil)
    evaluations = report.tables.evaluations
    other = spoil(evaluations[evaluations["model"] == "digits-v"])
    both = pd.concat([evaluations[evaluations["model"] == "digits-eps"], other])
    with pytest.raises(IncomparableError, match=named):
        compare_levels(both, "digits-eps", "digits-v")


def test_levels_with_different_images_are_compared_on_what_both_were_asked(report: Report) -> None:
    """As after adaptive passes: at each level one model's images begin the other's. Exactly the comparison of a single
    level of full tables with these images, and the planted band is still found."""
    rows = report.tables.evaluations
    reach = {"digits-eps": 20 + 2 * rows["level"], "digits-regressed": 60 - rows["level"]}
    asked = pd.concat([rows[(rows["model"] == name) & (rows["image"] < most)] for name, most in reach.items()])
    levels = compare_levels(asked, "digits-eps", "digits-regressed")
    assert levels["images"].tolist() == [min(20 + 2 * level, 60 - level, 64) for level in range(24)]
    for level, images in ((0, 20), (10, 40), (23, 37)):
        alone = rows[(rows["level"] == level) & (rows["image"] < images)]
        expected = compare_levels(alone, "digits-eps", "digits-regressed").iloc[0]
        np.testing.assert_allclose(
            levels.loc[level, ["ratio", "low", "high"]].to_numpy(float),
            expected[["ratio", "low", "high"]].to_numpy(float), rtol=1e-12,
        )  # fmt: skip
    (worse,) = [band for band in find_bands(levels, "digits-regressed") if band.ratio > 1]
    planted = synthetic.SIGMAS[synthetic.planted_levels()]
    assert (worse.sigma_low, worse.sigma_high) == (planted[0], planted[-1])


def test_fingerprints_that_differ_are_named() -> None:
    with pytest.raises(IncomparableError, match=r"data\.digest: 'a' against 'b'"):
        require_comparable({"data": {"digest": "a"}, "seed": "0"}, {"data": {"digest": "b"}, "seed": "0"})
    assert differences({"a": 1}, {"b": 2}) == {"a": (1, None), "b": (None, 2)}
    require_comparable({"a": 1}, {"a": 1})


def test_latents_of_other_autoencoders_are_incomparable() -> None:
    one, other = synthetic.run({"m": "eps"}, "one"), synthetic.run({"m": "eps"}, "other")
    (model,) = other.record.models
    other.record = other.record.model_copy(update={"models": [model.model_copy(update={"autoencoder": "vae"})]})
    made, refused = compare_all(collect([one, other]), [one, other])
    assert not made
    assert "autoencoder: '' against 'vae'" in refused[0].reason


def test_runs_of_other_data_are_listed_as_incomparable() -> None:
    one = synthetic.run({"m": "eps"}, "one")
    other = synthetic.run({"m": "eps"}, "other")
    other.record = other.record.model_copy(update={"fingerprint": {**one.record.fingerprint, "data": "else"}})
    tables = collect([one, other])
    made, refused = compare_all(tables, [one, other])
    assert not made
    assert "data: 'digits' against 'else'" in refused[0].reason


def test_namesakes_of_two_runs_are_compared_with_each_other() -> None:
    runs = [synthetic.run({"a": "eps", "b": "v"}, "one"), synthetic.run({"a": "eps", "b": "v"}, "two")]
    assert references(collect(runs)) == {"b @ one": "a @ one", "a @ two": "a @ one", "b @ two": "b @ one"}


def test_metrics_differences_and_what_is_said_of_them() -> None:
    def row(model: str, metric: str, value: float, half: float, fingerprint: str = "f") -> dict[str, object]:
        cell = {"model": model, "sampler": "euler", "steps": 10, "grid": "karras", "metric": metric, "n": 100}
        interval = {"value": value, "low": value - half, "high": value + half}
        return {**cell, **interval, "fingerprint": fingerprint, "protocol": "of features"}

    nan = math.nan
    frame = pd.DataFrame(
        [
            row("a", "FID", 5.0, 3.0), row("b", "FID", 9.0, 4.0),
            row("a", "point", 1.0, nan), row("b", "point", 2.0, nan),
            row("a", "moved", 1.0, 0.1, "f"), row("b", "moved", 2.0, 0.1, "g"),
            row("a", "alone", 1.0, 0.1),
        ]
    )  # fmt: skip
    found = compare_metrics(frame, "a", "b").set_index("metric")
    assert dict(found["status"]) == {
        "FID": "unpaired", "point": "no interval", "moved": "incomparable", "alone": "not scored",
    }  # fmt: skip
    # Independent symmetric intervals: halves 3 and 4 make 5.
    assert tuple(found.loc["FID", ["difference", "low", "high"]]) == (4.0, -1.0, 9.0)
    assert found.loc["point", "difference"] == 1.0
    assert found.loc["moved", "reason"] == "'of features [f]' against 'of features [g]'"
    assert (found["reason"] != "").sum() == 1
    assert found.loc[["moved", "alone"], "difference"].isna().all(), "a missing score is no zero"


def test_a_difference_among_many_metrics_is_told_by_holm() -> None:
    """Three scores of standard error 1 each, so that the difference's is sqrt(2): p by scipy, Holm by hand."""
    half = stats.norm.ppf(0.975)

    def rows(metric: str, difference: float) -> list[dict[str, object]]:
        cell = {"sampler": "euler", "steps": 10, "grid": "karras", "metric": metric, "n": 100, "protocol": "p"}
        values = {"a": 10.0, "b": 10.0 + difference}
        return [
            {**cell, "model": model, "value": value, "low": value - half, "high": value + half, "fingerprint": "f"}
            for model, value in values.items()
        ]

    # 2.3 standard errors: p = 0.021, told alone and not among three; 4 and -4: p = 6e-5.
    sizes = {"frechet_distance": 4.0, "inception_score": 4.0, "kernel_distance": 2.3}
    table = pd.DataFrame([row for metric, size in sizes.items() for row in rows(metric, size * math.sqrt(2))])
    p = {metric: 2 * stats.norm.sf(size) for metric, size in sizes.items()}
    assert 0.05 / 3 < p["kernel_distance"] < 0.05
    assert p["frechet_distance"] < 0.05 / 3
    alone = compare_metrics(table[table["metric"] == "kernel_distance"], "a", "b")
    assert list(alone["change"]) == ["worse"]
    found = compare_metrics(table, "a", "b").set_index("metric")
    # The last step of Holm's holds the third against 0.05 / 1: told as well, for both others were.
    assert dict(found["change"]) == {
        "frechet_distance": "worse", "inception_score": "better", "kernel_distance": "worse",
    }  # fmt: skip
    quiet = table.assign(value=table["value"].where(table["metric"] == "kernel_distance", 10.0))
    shifted = quiet.assign(low=quiet["value"] - half, high=quiet["value"] + half)
    found = compare_metrics(shifted, "a", "b").set_index("metric")
    assert dict(found["change"]) == dict.fromkeys(sizes, "same"), "one of three at p = 0.021 is not told"
    assert found.loc["kernel_distance", "low"] > 0, "though its own interval leaves out 0"
    assert found.loc["kernel_distance", "ratio"] == pytest.approx(1 + 2.3 * math.sqrt(2) / 10)
