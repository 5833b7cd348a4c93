"""Inception score: exp of the mean divergence of an image's class distribution from the average (Salimans et al. 2016).

Logits (n, classes) of a feature network -> inception_score (a named convention) or inception_score_influence (with an
interval). The conventions differ by far more than models do, so a result carries the name of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ..errors import ConfigError, DataError
from .intervals import Influence
from .protocols import ScoreConvention

Convention = ScoreConvention

TORCH_FIDELITY_SEED = 2020
TORCHMETRICS_SEED = 0  # our choice: it draws from torch's global state
GUIDED_DIFFUSION_CHUNK = 5000


class InceptionScoreResult(NamedTuple):
    """mean and std in the sense of the convention, spelled out; std is NaN where the convention has none."""

    mean: float
    std: float
    convention: str


def inception_score(
    logits: Tensor, splits: int = 10, convention: Convention = "torch-fidelity"
) -> InceptionScoreResult:
    """Inception score of logits (n, classes), in float64.

    - torch-fidelity: rows permuted by RandomState(2020), `splits` parts, mean and std (ddof 0) over the parts.
    - guided-diffusion: chunks of 5,000 rows in the order given, the last one shorter, likewise; wrong for samples
      ordered by class.
    - torchmetrics: rows permuted by torch.randperm, here with seed 0, `splits` chunks, std with ddof 1.
    - plain: all rows at once. Biased low, less than a part of them is.
    - corrected: the same with the first-order bias of the logarithm removed; std is the standard error by influence.

    `splits` counts where it is named. Raises DataError for a bad shape, too few rows or logits that aren't finite, and
    ConfigError for an unknown convention or fewer than 1 split.
    """
    if convention not in get_args(Convention):
        raise ConfigError(f"unknown convention {convention!r}; expected one of: {', '.join(get_args(Convention))}")
    log_p = _log_probabilities(logits)
    n = len(log_p)
    if convention == "plain":
        return InceptionScoreResult(_score(log_p), math.nan, "plain: all samples at once")
    if convention == "corrected":
        log_score = inception_score_influence(logits)
        mean = math.exp(log_score.corrected)
        return InceptionScoreResult(mean, mean * log_score.standard_error, "corrected: first-order bias removed")
    if convention in ("torch-fidelity", "torchmetrics") and not 1 <= splits <= n:
        raise ConfigError(f"expected from 1 to {n} splits of {n} samples, got {splits}")
    if convention == "torchmetrics":
        order = torch.randperm(n, generator=torch.Generator().manual_seed(TORCHMETRICS_SEED))
        scores = [_score(part) for part in log_p[order.to(log_p.device)].chunk(splits)]
        std = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
        named = f"torchmetrics: {splits} chunks, permuted by torch with seed {TORCHMETRICS_SEED}, std ddof 1"
        return InceptionScoreResult(float(np.mean(scores)), std, named)
    if convention == "torch-fidelity":
        permuted = np.random.RandomState(TORCH_FIDELITY_SEED).permutation(n)
        parts = _split(log_p[torch.from_numpy(permuted).to(log_p.device)], splits)
        named = f"torch-fidelity: {splits} splits, permuted by RandomState({TORCH_FIDELITY_SEED}), std ddof 0"
    else:
        parts = iter(log_p.split(GUIDED_DIFFUSION_CHUNK))
        named = f"guided-diffusion: chunks of {GUIDED_DIFFUSION_CHUNK} in order, std ddof 0"
    scores = [_score(part) for part in parts]
    return InceptionScoreResult(float(np.mean(scores)), float(np.std(scores)), named)


def inception_score_influence(logits: Tensor) -> Influence:
    """The logarithm of the plain score with its bias and one influence value per sample.

    psi_i = KL(p_i || p_bar), centred; bias = -sum_c Var(p_c) / (2 n p_bar_c), both to first order: the average p_bar
    follows the very samples it is compared with. Raises DataError for fewer than 2 rows.
    """
    log_p = _log_probabilities(logits)
    n = len(log_p)
    if n < 2:
        raise DataError(f"influence values need at least 2 samples, got {n}")
    p = log_p.exp()
    average = p.mean(dim=0)
    divergence = _divergences(log_p).cpu().numpy()
    seen = average > 0  # a class no sample gives any probability adds nothing
    bias = -(p.var(dim=0)[seen] / average[seen]).sum() / (2 * n)
    value = float(divergence.mean())
    return Influence(value, float(bias), divergence - value)


class InceptionScore(Metric):  # type: ignore[misc]
    """Inception score of a stream of logits (n, classes), in any of the conventions of `inception_score`.

    compute(): a pair of float64 scalars, mean and std. Keeps every row, 8 kB each: a convention that splits needs them.
    Several processes' rows follow one another by rank, so a convention that depends on order depends on the sharding.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    logits: list[Tensor]

    def __init__(self, splits: int = 10, convention: Convention = "torch-fidelity") -> None:
        super().__init__()
        self.splits = splits
        self.convention: Convention = convention
        self.add_state("logits", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor) -> None:
        self.logits.append(logits)

    def compute(self) -> tuple[Tensor, Tensor]:
        if not len(self.logits):
            raise DataError("an inception score needs samples, got none")
        mean, std, _ = inception_score(dim_zero_cat(self.logits), self.splits, self.convention)
        both = torch.tensor([mean, std], dtype=torch.float64, device=self.device)
        return both[0], both[1]


def _split(rows: Tensor, splits: int) -> Iterator[Tensor]:
    n = len(rows)
    return (rows[i * n // splits : (i + 1) * n // splits] for i in range(splits))


def _score(log_p: Tensor) -> float:
    return math.exp(float(_divergences(log_p).mean()))


def _divergences(log_p: Tensor) -> Tensor:
    """KL(p_i || p_bar) of every row, (n,)."""
    log_average = log_p.logsumexp(dim=0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_average)).sum(dim=1)


def _log_probabilities(logits: Tensor) -> Tensor:
    if logits.ndim != 2 or 0 in logits.shape:
        raise DataError(f"expected logits (n, classes), got {tuple(logits.shape)}")
    if not logits.isfinite().all():
        raise DataError(f"expected finite logits, got {int((~logits.isfinite()).any(dim=1).sum())} rows that aren't")
    return logits.double().log_softmax(dim=1)
