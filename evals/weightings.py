"""Training losses seen from the noise levels: how much each level counts while a network is trained.

A loss is E over sigma of w(sigma) E_x0(sigma), with E_x0 the denoising error in x0 units. Papers state w for the error
of another target (metrics.units has the factors between them), and sigma by a density of log sigma or by a time drawn
uniformly. A `Weighting` states both halves in these units; `weighted` lays one over a run's table of levels. It tells
what training looked at, not what a sample is worth: never a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from ..errors import ConfigError, DataError
from ..metrics.intervals import Floats
from ..metrics.units import error_unit_factor
from ..registry import Registry, made
from .expressions import expression

Function = Callable[[Floats], ArrayLike]
"""Of sigma, elementwise."""


@dataclass(frozen=True)
class Weighting:
    """A training loss's weights."""

    name: str
    loss: Function
    """w(sigma): the factor on the squared error per dimension in x0 units."""
    density: Function | None = None
    """How often training asks, per unit of log sigma; None: uniformly in the model's own time."""


WEIGHTINGS: Registry[Callable[..., Weighting]] = Registry("weighting")


@WEIGHTINGS.register("edm")
def edm(sigma_data: float = 0.5, mean: float = -1.2, spread: float = 1.2) -> Weighting:
    """(s^2 + sd^2) / (s sd)^2, log s ~ N(mean, spread^2): Karras et al. 2022, arXiv:2206.00364, table 1.

    The raw output's error F counts the same at every level.
    """
    if not (sigma_data > 0 and spread > 0):
        raise ConfigError(f"weighting 'edm': expected sigma_data and spread above 0, got {sigma_data} and {spread}")

    def density(sigma: Floats) -> Floats:
        return np.exp(-0.5 * ((np.log(sigma) - mean) / spread) ** 2) / (spread * math.sqrt(2.0 * math.pi))

    return Weighting("edm", lambda sigma: error_unit_factor(sigma, "F", sigma_data), density)


@WEIGHTINGS.register("min_snr")
def min_snr(gamma: float = 5.0) -> Weighting:
    """min(SNR, gamma) with SNR = 1 / s^2, time uniform: Hang et al. 2023, arXiv:2303.09556.

    On eps errors min(SNR, gamma) / SNR, on v errors min(SNR, gamma) / (SNR + 1).
    """
    if not gamma > 0:
        raise ConfigError(f"weighting 'min_snr': expected gamma above 0, got {gamma}")
    return Weighting(f"min_snr(gamma={gamma:g})", lambda sigma: np.minimum(sigma**-2.0, gamma))


@WEIGHTINGS.register("p2")
def p2(k: float = 1.0, gamma: float = 1.0) -> Weighting:
    """On eps errors 1 / (k + SNR)^gamma, time uniform: Choi et al. 2022, arXiv:2204.00227.

    gamma = 0 is DDPM's simple loss (Ho et al. 2020, arXiv:2006.11239, eq. 14).
    """
    if not (k > 0 and gamma >= 0):
        raise ConfigError(f"weighting 'p2': expected k above 0 and gamma of 0 or more, got {k} and {gamma}")
    return Weighting(f"p2(k={k:g}, gamma={gamma:g})", lambda sigma: sigma**-2.0 / (k + sigma**-2.0) ** gamma)


def weighting(spec: Weighting | Function | str) -> Weighting:
    """A Weighting from a name with arguments ("p2(gamma=0.5)"), a formula in sigma ("1/(1 + sigma**2)") or a function.

    Formulas and functions weigh the squared error in x0 units, time uniform; what names no sigma is taken for a name.
    Raises ConfigError listing the choices.
    """
    if isinstance(spec, Weighting):
        return spec
    if callable(spec):
        return Weighting(getattr(spec, "__name__", "own"), spec)
    if "sigma" not in spec.replace("sigma_data", ""):
        return made(WEIGHTINGS, spec)
    formula = expression(spec, ("sigma",), "weighting")
    return Weighting(spec, lambda sigma: torch.as_tensor(formula({"sigma": torch.tensor(sigma)})).numpy())


def weighted(levels: pd.DataFrame, chosen: Weighting) -> pd.DataFrame:
    """One model's table `levels` with what a training loss makes of it: columns weight, share.

    weight: the level's part of sum w(sigma) x how often training asks there, the errors left aside; adds up to 1.
    share: its part of the training loss, weight x error; adds up to 1.

    A level stands for the noises up to half-way to its neighbours, in log sigma or in the model's time.

    Raises DataError for fewer than 2 levels or several models' tables, ConfigError for weights that are negative or not
    finite.
    """
    if len(levels) < 2 or levels["level"].duplicated().any():
        raise DataError(f"expected one model's table of at least 2 levels, got {len(levels)} rows")
    ordered = levels.sort_values("sigma", ignore_index=True)
    sigma = ordered["sigma"].to_numpy(np.float64)
    loss = np.broadcast_to(np.asarray(chosen.loss(sigma), np.float64), sigma.shape)
    if chosen.density is None:
        often = _widths(ordered["time"].to_numpy(np.float64))
    else:
        often = np.asarray(chosen.density(sigma), np.float64) * _widths(np.log(sigma))
    weight = loss * often
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ConfigError(f"weighting {chosen.name!r}: expected finite weights of 0 or more, got {weight.tolist()}")
    cost = weight * ordered["error"].to_numpy(np.float64)
    return ordered.assign(weight=weight / weight.sum(), share=cost / cost.sum())


def _widths(place: Floats) -> Floats:
    """How far each of some monotonic places reaches: half-way to its neighbours."""
    gaps: Floats = np.abs(np.diff(place))
    return np.asarray(np.pad(gaps, (1, 0)) + np.pad(gaps, (0, 1))) / 2.0
