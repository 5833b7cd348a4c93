"""P11: an oracle does best where it is told the truth; a table off by one index is found, with direction and size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.probes import curves, probe
from sigmascope.evals.schedules import Table
from sigmascope.fixtures.oracles import Gaussian, Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, OFTEN, PAIR, SIGMAS, curve_of, data_of, misses, rows_of

WIDE = Gaussian(torch.zeros(64, dtype=torch.float64), torch.logspace(-2, 0, 64, dtype=torch.float64))
TABLE = torch.logspace(math.log10(0.02), math.log10(80.0), 100, dtype=torch.float64)


@pytest.mark.parametrize(
    ("oracle", "sigmas"),
    [(GAUSSIAN, SIGMAS), (MIXTURE, SIGMAS), (PAIR, OFTEN)],
    ids=["gaussian", "mixture", "two points"],
)
def test_an_oracle_takes_its_level_for_what_it_is(oracle: Oracle, sigmas: Tensor) -> None:
    mismatch = probe("mismatch(images=1000)")
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 1000), mismatch, "shift", sigmas=sigmas)
    assert len(curve) == len(sigmas)  # the ends too, one-sided
    assert misses(curve, 0.0, 3 * len(SIGMAS)).empty


def test_the_error_at_each_factor_is_the_gaussian_s() -> None:
    """sum (s'^2 / (l + s'^2))^2 l + (l / (l + s'^2))^2 s^2, over the same at s; none beyond the model's range."""
    mismatch = probe("mismatch(images=1000)")
    found = curves(rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 1000), [mismatch]), [mismatch])
    found = found[found["quantity"] == "error"]

    def error(s: float, told: float) -> float:
        gain = GAUSSIAN.variances / (GAUSSIAN.variances + told**2)
        return float(((1 - gain) ** 2 * GAUSSIAN.variances + gain**2 * s**2).sum())

    assert found["slice"].nunique() == 6
    for number, (name, curve) in enumerate(found.groupby("slice", sort=False)):
        factor = 2 ** ((-3, -2, -1, 1, 2, 3)[number] / 3)
        assert name == f"{factor:.2f} sigma"
        assert len(curve) == (len(SIGMAS) if factor < 1 else len(SIGMAS) - 1)  # EDM's range ends at 80
        expected = [error(s, s * factor) / error(s, s) for s in curve["sigma"]]
        assert misses(curve, expected, 6 * len(SIGMAS)).empty


def test_a_level_off_by_one_index_is_found_with_direction_and_size() -> None:
    """The network answers for the next entry of its table: it takes each level for one 8.7% higher."""
    schedule = Table.from_sigmas(TABLE, off_grid="snap")

    def network(x: Tensor, time: Tensor) -> Tensor:
        return WIDE.denoise(x, TABLE[(time.long() + 1).clamp(max=99)])

    denoiser = wrap(network, schedule, "x0", (64,), micro_batch=256, dtype=torch.float64)
    levels = torch.arange(10, 98, 8)[:10]
    mismatch = probe("mismatch(images=1000)")
    found = curves(rows_of(denoiser, data_of(WIDE, 1000), [mismatch], sigmas=TABLE[levels]), [mismatch])
    shift = found[found["quantity"] == "shift"].reset_index(drop=True)

    # the factors beside 1, 2^(+-1/3), snap to entries three indices away
    step, clean, expected = math.log(4000) / 99, WIDE.variances, []
    for level in levels.tolist():
        g0, after, before = (clean / (clean + TABLE[level + 1 + away] ** 2) for away in (0, 3, -3))
        power = clean + TABLE[level] ** 2
        dot, norm = ((after - before) * (clean - g0 * power)).sum(), ((after - before) ** 2 * power).sum()
        expected.append(float(dot / norm) * 6 * step)
    assert misses(shift, expected, len(levels)).empty
    sure = misses(shift, 0.0, len(levels))
    assert len(sure) >= 5
    assert (sure["value"] < 0).all()
    assert np.array(expected) == pytest.approx(-step, rel=0.1)  # one step of Newton's, to first order
    gain = found[found["quantity"] == "gain"].reset_index(drop=True)
    assert (gain["low"][sure.index] > 0).all()


def test_a_factor_of_two_is_seen_in_the_errors() -> None:
    """Told s, the network acts on s / 2, as where sigma is in units of another data range."""
    denoiser = wrap(lambda x, s: GAUSSIAN.denoise(x, s / 2), "edm", "x0", (16,), micro_batch=256, dtype=torch.float64)
    mismatch = probe("mismatch(images=300)")
    found = curves(rows_of(denoiser, data_of(GAUSSIAN, 300), [mismatch], sigmas=SIGMAS[2:7]), [mismatch])
    errors = found[found["quantity"] == "error"]
    best = errors.loc[errors.groupby("level")["value"].idxmin()]
    assert (best["slice"] == "2.00 sigma").all()
    assert (best["high"] < 1.0).all()
    assert (found[found["quantity"] == "shift"]["low"] > 0).all()
