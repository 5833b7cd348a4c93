"""Inception score: exp of the mean divergence of an image's class distribution from the average (Salimans et al. 2016).

Logits (n, classes) of a feature network -> inception_score (a named convention) or inception_score_influence (with an
interval). The conventions differ by far more than models do, so a result carries the name of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ..errors import ConfigError, DataError
from .intervals import Influence

Convention = Literal["torch-fidelity", "guided-diffusion", "plain", "corrected"]

TORCH_FIDELITY_SEED = 2020
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
    - plain: all rows at once. Biased low, less than a part of them is.
    - corrected: the same with the first-order bias of the logarithm removed; std is the standard error by influence.

    `splits` counts in the first alone. Raises DataError for a bad shape, too few rows or logits that aren't finite, and
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
    if convention == "torch-fidelity":
        if not 1 <= splits <= n:
            raise ConfigError(f"expected from 1 to {n} splits of {n} samples, got {splits}")
        order = np.random.RandomState(TORCH_FIDELITY_SEED).permutation(n)
        parts = _split(log_p[torch.from_numpy(order).to(log_p.device)], splits)
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
