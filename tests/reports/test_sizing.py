"""Sample sizes from stored runs: against the closed form, and against what runs of that size decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sigmascope.reports.compare import Settings, compare_levels
from sigmascope.reports.sizing import Wanted, size_levels, size_metrics

from . import synthetic

PAIR = {"a": "eps", "b": "eps"}


def test_the_spread_is_that_of_the_difference() -> None:
    """Two draws with 3% of each model's own: sd_d = sqrt(2) 0.03 sqrt(2) / 2 = 0.03 per image, times the root mean
    square over images of shared weights, exp of sd 0.5 and 0.3 in two draws: between 1 and 1.4."""
    sizes = size_levels(synthetic.evaluations(400, models=PAIR), "a", "b", Wanted())
    assert (sizes.table["spread"].between(0.028, 0.050)).all()
    assert sizes.paired
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.9)
    assert (sizes.table["to_pass"] > (z * sizes.table["spread"] / math.log(1.02)) ** 2).all()  # t, not z: few images
    np.testing.assert_allclose(sizes.table["to_pass"], sizes.design.alone(math.log(1.02), math.log(1.02))[0])
    assert sizes.critical > stats.norm.ppf(0.95)


def test_one_model_alone_gives_an_upper_bound() -> None:
    errors = synthetic.evaluations(400, models=PAIR)
    paired, alone = size_levels(errors, "a", "b", Wanted()), size_levels(errors, "a", None, Wanted())
    assert not alone.paired
    assert alone.images > 10 * paired.images
    related = size_levels(errors, "a", None, Wanted(correlation=0.99))
    assert related.table["spread"].to_numpy() == pytest.approx(0.1 * alone.table["spread"].to_numpy())


def test_runs_of_the_planned_size_pass_as_often_as_planned() -> None:
    """40 unchanged runs of the size that passes 80%: between 21 and 40 of them do (binomial, 4 standard errors)."""
    pilot = size_levels(synthetic.evaluations(300, models=PAIR, seed=9), "a", "b", Wanted(power=0.8))
    passed = 0
    for seed in range(40):
        errors = synthetic.evaluations(int(pilot.to_pass), models=PAIR, seed=100 + seed)
        levels = compare_levels(errors, "a", "b", Settings(margin=0.02, resamples=10))
        passed += bool((levels["verdict"] == "pass").all())
    assert 21 <= passed < 40


def test_metrics_take_their_spread_from_their_intervals() -> None:
    """Half-widths of 7% each at 500 samples, two of them: sd = 0.07 sqrt(2) value sqrt(500) / 1.96."""
    sizes = size_metrics(synthetic.metrics(), "digits-eps", None, Wanted(margin=0.1, change=0.1))
    row = sizes[sizes["metric"].str.startswith("Fréchet")].iloc[0]
    spread = 0.07 * math.sqrt(2) * row["value"] * math.sqrt(500) / stats.norm.ppf(0.975)
    assert row["spread"] == pytest.approx(spread)
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.9)
    assert row["to_pass"] == pytest.approx((z * spread / (0.1 * row["value"])) ** 2)
    assert row["to_fail"] > row["to_pass"]
