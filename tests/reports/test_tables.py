"""Tables against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sigmascope.errors import ConfigError
from sigmascope.reports import tables
from sigmascope.reports.report import Report, assemble

from . import synthetic


def test_pareto_front_by_hand() -> None:
    cost = np.array([5, 10, 10, 20, 40, 5], float)
    loss = np.array([3, 2, 2.5, 2, 1, 3], float)
    # (10, 2.5) and (20, 2) are dominated by (10, 2); two equal points don't dominate each other.
    np.testing.assert_array_equal(tables.pareto(cost, loss), [True, True, False, False, True, True])


def test_front_knows_that_more_can_be_better(report: Report) -> None:
    table = tables.samplers(report.tables, "class agreement")
    best = table.loc[table["value"].idxmax()]
    assert best["front"]


def test_errors_in_another_unit_and_the_ratio_in_none(report: Report) -> None:
    in_x0 = tables.noise_levels(report.tables, report.comparisons, "x0")
    in_eps = tables.noise_levels(report.tables, report.comparisons, "eps")
    np.testing.assert_allclose(in_eps["error"], in_x0["error"] / in_x0["sigma"] ** 2, rtol=1e-12)
    np.testing.assert_array_equal(in_eps["ratio"], in_x0["ratio"])
    assert (in_x0.loc[in_x0["model"] == "digits-eps", "ratio"] == 1).all()


@pytest.mark.parametrize(
    ("form", "gain_x0", "gain_eps"),
    [
        ("x0", lambda s: 1.0, lambda s: 1 / s),
        ("eps", lambda s: s, lambda s: 1.0),
        ("v", lambda s: s / math.hypot(1, s), lambda s: 1 / math.hypot(1, s)),
        ("flow", lambda s: s / (1 + s), lambda s: 1 / (1 + s)),
        ("F(sigma_data=0.5)", lambda s: 0.5 * s / math.hypot(0.5, s), lambda s: 0.5 / math.hypot(0.5, s)),
    ],
)
def test_gains_are_those_of_the_closed_forms(form: str, gain_x0: object, gain_eps: object) -> None:
    assert callable(gain_x0)
    assert callable(gain_eps)
    run = synthetic.run({"m": "eps"})
    run.record.models[0] = run.record.models[0].model_copy(update={"parameterization": form})
    table = tables.parameterizations(tables.collect([run]))
    assert len(table) == len(synthetic.SIGMAS)
    for row in tables.each(table):
        assert row.gain_x0 == pytest.approx(gain_x0(row.sigma), rel=1e-12)
        assert row.gain_eps == pytest.approx(gain_eps(row.sigma), rel=1e-12)
        assert row.raw * row.gain_x0 == pytest.approx(row.x0, rel=1e-12)


def test_an_unknown_parameterization_is_left_out() -> None:
    run = synthetic.run({"m": "eps"})
    run.record.models[0] = run.record.models[0].model_copy(update={"parameterization": "riddle"})
    assert tables.parameterizations(tables.collect([run])).empty


def test_overview_holds_the_worst_level_and_the_best_setting(report: Report) -> None:
    table = tables.overview(report.tables, report.comparisons).set_index(["model", "measure"])
    regressed = report.comparisons[-1].levels
    assert table.loc[("digits-regressed", tables.WORST_LEVEL), "value"] == regressed["ratio"].max()
    scores = report.tables.metrics.query("model == 'digits-v' and metric == 'Fréchet distance (digits)'")
    assert table.loc[("digits-v", "Fréchet distance (digits)"), "value"] == scores["value"].min()


def test_worst_images_are_those_that_lost_most(report: Report) -> None:
    table = tables.worst_images(report.tables.evaluations, "digits-eps", "digits-regressed", 10, count=3)
    means = report.tables.evaluations.query("level == 10").groupby(["model", "image"])["error"].mean()
    lost = (means["digits-regressed"] - means["digits-eps"]).nlargest(3)
    assert list(table["image"]) == list(lost.index)
    np.testing.assert_allclose(table["difference"], lost, rtol=1e-12)


def test_labels_are_unique_even_of_one_run_twice() -> None:
    run = synthetic.run({"m": "eps"}, "r")
    assert tables.collect([run, run]).labels == ["m @ r", "m @ r (2)"]
    assert tables.collect([run, synthetic.run({"n": "eps"}, "s")]).labels == ["m", "n"]


def test_an_unknown_baseline_lists_the_choices(run: synthetic.SyntheticRun) -> None:
    with pytest.raises(ConfigError, match="digits-flow"):
        assemble([run], "digits-nothing")
    with pytest.raises(ConfigError, match="at least one run"):
        assemble([])


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("FID", "lower"), ("Fréchet distance (clip)", "lower"), ("CMMD", "lower"), ("Vendi score", "higher"),
        ("Fréchet distance (digits)", "lower"), ("Inception score", "higher"),
        ("Inception score (digits)", "higher"), ("denoising error", "lower"), ("recall", "higher"), ("oddity", ""),
    ],
)  # fmt: skip
def test_which_way_is_better(metric: str, direction: str) -> None:
    assert tables.better(metric) == direction


def test_a_contender_is_beaten_by_more_than_its_interval() -> None:
    cost = np.array([5, 10, 10, 20, 40], float)
    loss = np.array([3.0, 2.0, 2.5, 2.1, 2.1])
    low = np.array([2.8, 1.8, 2.2, 1.9, np.nan])
    # (10, 2.5) lies beyond its interval above (10, 2); (20, 2.1) within its own; (40, 2.1) has none, and 2 is less
    np.testing.assert_array_equal(tables.contenders(cost, loss, low), [True, True, False, True, False])


def test_every_setting_on_the_front_is_a_contender(report: Report) -> None:
    for metric in tables.metric_names(report.tables):
        table = tables.samplers(report.tables, metric)
        assert table.loc[table["front"], "contender"].all()
