"""P3, bits per dimension: how much of the data's code length each band of noise levels costs.

With lambda = log SNR and E_eps the denoising error per dimension in units of eps, mse / sigma^2,

    bits = integral of E_eps dlambda / (2 ln 2)       over the level's stratum

For the best denoiser that is the information on x0 between the two ends, per dimension: I(x0; x) at the lower noise
less that at the upper, as dI/dSNR = mmse / 2 (Guo, Shamai & Verdu 2005, IEEE Trans. Inf. Theory 51(4)). For any other
it is more, by what its bound on the likelihood loses there (Kingma et al. 2021, arXiv:2107.00630). Strata add up.

A level's stratum reaches half-way to its neighbours, and ends at the outermost levels. Each row is one point of it, at
uniformly distributed lambda: the mean is the stratum's integral, whatever E_eps does within. An image's draws are
spread evenly (golden-ratio steps from a random start). A model whose levels are a table and snap is asked at the
nearest entry.

One further evaluation, at that point. `total` adds a run's strata up, `code_length` makes them -log2 p.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Estimate, Floats, jackknife
from ..levels import broadcast
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@PROBES.register("bits")
class Bits(Probe):
    name = "bits"
    evaluations = 1
    quantities = (Quantity("bits", ("bits",)),)

    def check(self, subject: Subject) -> None:
        if len(subject.sigmas) < 2:
            raise ConfigError(f"probe 'bits': expected at least 2 levels to have bands between, got {subject.sigmas}")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        edges = -2.0 * strata(subject.sigmas).log()
        start, width = edges[seen.index], edges[seen.index] - edges[seen.index + 1]
        words = subject.noise.words(seen.image, "bits", seen.index, 1).squeeze(1)
        place = ((words + 0.5) * 2.0**-32 + _GOLDEN * seen.draw) % 1.0
        level = subject.denoiser.level(torch.exp(-0.5 * (start - place * width)))
        answer = subject.ask(seen.x0 + broadcast(level.sigma, seen.x0) * seen.eps, level, seen.cond)
        error = mean_square(answer.x0 - seen.x0).cpu() / level.sigma**2
        return {"bits": error * width / (2.0 * math.log(2.0))}


def strata(sigmas: Tensor) -> Tensor:
    """Levels `(L,)`, ascending -> the ends of their strata in sigma `(L + 1,)`: midpoints in log SNR, and the ends."""
    return torch.cat([sigmas[:1], (sigmas[:-1] * sigmas[1:]).sqrt(), sigmas[-1:]])


def total(rows: pd.DataFrame, confidence: float = 0.95) -> Estimate:
    """Bits per dimension between the outermost levels, of `engine.measure`'s table, with an interval over images.

    Raises DataError for fewer than 2 images, or an image that was not asked about at every level.
    """
    by_image = rows.pivot_table(index="image", columns="level", values="bits.bits", aggfunc="mean").sum(
        axis=1, skipna=False
    )
    influence = jackknife(lambda mean: mean, by_image.to_numpy(np.float64)[:, None])
    half = stats.t.ppf((1 + confidence) / 2, len(by_image) - 1) * influence.standard_error
    return Estimate(*(np.asarray(influence.value + reach) for reach in (0.0, -half, half)))


def code_length(bits: ArrayLike, sigma_min: float, before: float = 0.0) -> Floats:
    """-log2 p per dimension of x0 + sigma_min eps, which is what a model of noisy data is a density of.

    log2 sqrt(2 pi e sigma_min^2) + before + bits. As sigma_min -> 0, -log p is (d/2) log 2 pi e - 1/2 integral of
    (d / (1 + SNR) - mse) dSNR, the same with the noise's own entropy apart. For pixels of 256 values over [-1, 1],
    log2(127.5) more counts from the width of one value.

    Args:
        bits: as `total` has it.
        before: bits per dimension known at the uppermost level already; 0 where it is nothing but noise.
    """
    return np.asarray(bits, np.float64) + before + 0.5 * math.log2(2.0 * math.pi * math.e * sigma_min**2)
