"""How sure an attribution is: intervals against Student, Fieller and repeated experiments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sigmascope.evals.attribution import VALUES, Game
from sigmascope.evals.attribution.inference import effects, shares
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.kernel import kernel_distance

RNG = np.random.default_rng(5)


def test_one_contrast_is_a_paired_t_test() -> None:
    sample = RNG.standard_normal(30) + 0.3
    found = effects(sample.mean(keepdims=True), (sample - sample.mean())[:, None])
    expected = stats.ttest_1samp(sample, 0).confidence_interval()
    assert found.low[0] == pytest.approx(expected.low, rel=1e-12)
    assert found.high[0] == pytest.approx(expected.high, rel=1e-12)
    # 4,000 resamples: the quantile's standard error is sqrt(.05 .95 / 4000) / density(2.05) = 0.06
    assert found.band_high[0] - found.value[0] == pytest.approx(expected.high - found.value[0], rel=0.1)


def test_intervals_of_many_bands_hold_at_once() -> None:
    """4 independent contrasts, 400 experiments of 40 seeds: each covers alone in 95%, all at once in 95% too.

    The standard error of a coverage of .95 over 400 is .011; four of them are allowed. Alone, all four cover in .81.
    """
    alone = together = all_alone = 0
    for _ in range(400):
        table = RNG.standard_normal((40, 4))
        found = effects(table.mean(0), table - table.mean(0), resamples=500)
        inside = (found.low <= 0) & (found.high >= 0)
        alone += int(inside[0])
        all_alone += int(inside.all())
        together += int(((found.band_low <= 0) & (found.band_high >= 0)).all())
    assert alone / 400 == pytest.approx(0.95, abs=0.044)
    assert together / 400 == pytest.approx(0.95, abs=0.044)
    assert all_alone / 400 < 0.88


def test_shares_cover_a_ratio_of_means() -> None:
    """Fieller's interval of a share that is truly 0.8, one part, 400 experiments of 40 seeds."""
    covered = bounded = 0
    for _ in range(400):
        part, rest = 0.8 + RNG.standard_normal(40), 0.2 + 0.5 * RNG.standard_normal(40)
        table = np.stack([part, part + rest], axis=1)
        joint = effects(table.mean(0), table - table.mean(0), resamples=500)
        found = shares(joint[:1], joint[1:])
        if not np.isnan(found.low[0]):
            bounded += 1
            covered += int(found.low[0] <= 0.8 <= found.high[0])
    assert bounded > 360
    # simultaneous with the total, so it covers more often than 95%: at least that, less four standard errors
    assert covered / bounded >= 0.95 - 0.044


def test_no_share_of_a_total_that_may_be_nothing() -> None:
    table = np.stack([RNG.standard_normal(40), RNG.standard_normal(40)], axis=1)
    joint = effects(np.array([0.01, 0.02]), table - table.mean(0))
    found = shares(joint[:1], joint[1:])
    assert found.value[0] == pytest.approx(0.5)
    assert np.isnan(found.low[0])
    assert np.isnan(found.high[0])
    nothing = effects(np.zeros(2), np.zeros((40, 2)))
    assert np.isnan(shares(nothing[:1], nothing[1:]).value[0])


def test_a_part_that_is_the_whole_has_a_share_of_one() -> None:
    column = RNG.standard_normal(40)
    joint = effects(np.array([0.5, 0.0, 0.5]), np.stack([column, np.zeros(40), column], axis=1) * 0.1)
    found = shares(joint[:2], joint[2:])
    np.testing.assert_allclose([found.value, found.low, found.high], [[1, 0]] * 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["kernel_distance", "frechet_distance"])
def test_resampling_seeds_jointly_gives_the_spread_of_repeated_experiments(name: str) -> None:
    """Shapley values of two bands that shift and stretch features: 100 fresh sets of 150 seeds, paired over coalitions.

    The mean of the estimated standard errors meets the spread of the estimates within four of its own standard errors,
    1/sqrt(200) of itself each, and intervals cover the grand mean in 95% of the experiments, less four of .022.
    """
    game = Game(2, exact=True)
    real = torch.from_numpy(RNG.standard_normal((200, 3))).double()
    value = VALUES[name].make(real)
    estimates, errors, bounds = [], [], []
    for _ in range(100):
        start = torch.from_numpy(RNG.standard_normal((150, 3))).double()
        sets = [(start + (0.4 if first else 0.2)) * (1.3 if second else 1.1) for first, second in game.coalitions]
        influences = [value(x, sets[0]) for x in sets]
        values = np.array([one.value for one in influences])
        psi = np.stack([one.psi for one in influences], axis=1)
        found = effects(game.of(game.shapley, values), game.of(game.shapley, psi), resamples=200)
        estimates.append(found.value)
        errors.append(found.psi.std(axis=0, ddof=1) / np.sqrt(150))
        bounds.append((found.low, found.high))
    spread, centre = np.std(estimates, axis=0, ddof=1), np.mean(estimates, axis=0)
    np.testing.assert_allclose(np.mean(errors, axis=0), spread, rtol=4 / np.sqrt(200))
    covered = np.mean([(low <= centre) & (centre <= high) for low, high in bounds], axis=0)
    assert (covered >= 0.95 - 0.088).all()


def test_values_are_the_metrics_own() -> None:
    x, real = torch.randn(50, 4, dtype=torch.float64), torch.randn(60, 4, dtype=torch.float64)
    assert VALUES["kernel_distance"].make(real)(x, x).value == kernel_distance(x, real)
    assert VALUES["frechet_distance"].make(real)(x, x).value == pytest.approx(frechet_distance(x, real), rel=1e-9)
    few = VALUES["frechet_distance"].make(real)(x[:4], x[:4])
    assert few.value == pytest.approx(frechet_distance(x[:4], real), rel=1e-9)
    assert np.isnan(few.psi).all()
    moved = VALUES["drift"].make(None)(x + 0.5, x)
    assert moved.value == pytest.approx(0.25, rel=1e-12)
