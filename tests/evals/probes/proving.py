"""What the probes' tests share: oracles, levels, one call from a denoiser to curves, and when a look is fair.

Every probe is held to its closed form at 12 levels. An interval at 99% misses one time in a hundred by design, so a
test that looks `looks` times stretches it to a family-wise false alarm of 1e-4 by Bonferroni: no tolerance is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Probe, Subject, curves, measure
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, Oracle
from torch import Tensor

SIGMAS = log_snr_levels(0.02, 80.0, 12)
GAUSSIAN = Gaussian(torch.linspace(-0.5, 0.5, 16, dtype=torch.float64), torch.logspace(-2, 0, 16, dtype=torch.float64))
MIXTURE = Mixture(torch.linspace(-0.4, 0.6, 16, dtype=torch.float64), 0.2)
PAIR = FiniteSet(torch.stack([torch.linspace(-1, 1, 16), torch.linspace(0.3, -0.4, 16)]).double())

OFTEN = SIGMAS[SIGMAS > 0.8]
"""Levels at which PAIR's answer is in doubt for enough images. With rho = |half their distance|^2 / s^2 the error comes
from noise beyond sqrt(rho) standard deviations: at rho <= 4 from 2% of images or more, below from a handful or none."""


def data_of(oracle: Oracle, images: int, seed: int = 11) -> DataSet:
    return DataSet(oracle.data(torch.arange(images), Noise(seed)).float(), None, "oracle")


def faulty(answer: Callable[[Tensor, Tensor], Tensor], dimensions: int = 16) -> Denoiser:
    """A denoiser from a function of (scaled state, sigma (B, 1)) -> x0, on EDM's path, in float64."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return answer(x, sigma.reshape(-1, 1).to(x.dtype))

    return wrap(network, EDM(), "x0", (dimensions,), micro_batch=256, dtype=torch.float64)


def rows_of(
    denoiser: Denoiser,
    data: DataSet,
    probes: Sequence[Probe],
    draws: int = 1,
    seed: int = 0,
    sigmas: Tensor = SIGMAS,
    train: DataSet | None = None,
) -> pd.DataFrame:
    return measure(Subject(denoiser, data, sigmas, Noise(seed), train), probes, draws)


def curve_of(
    denoiser: Denoiser,
    data: DataSet,
    probe: Probe,
    quantity: str,
    draws: int = 1,
    seed: int = 0,
    sigmas: Tensor = SIGMAS,
    train: DataSet | None = None,
) -> pd.DataFrame:
    """One quantity's curve, a row per level."""
    found = curves(rows_of(denoiser, data, [probe], draws, seed, sigmas, train), [probe])
    return found[found["quantity"] == quantity].reset_index(drop=True)


def misses(curve: pd.DataFrame, expected: Sequence[float] | np.ndarray | float, looks: int) -> pd.DataFrame:
    """The levels at which the closed form lies outside the interval stretched for that many looks."""
    reach = stats.t.isf(1e-4 / looks / 2, curve["freedom"]) * curve["error"]
    return curve[(curve["value"] - np.asarray(expected)).abs() > reach + 2**-20]  # columns are kept in float32
