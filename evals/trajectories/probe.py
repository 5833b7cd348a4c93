"""What a trajectory probe is: numbers for each interval of each sample's walk, or for the walk as a whole.

The counterpart of evals.probes for samplers: `observe` turns a walk into columns, `Quantity` says which function of
their means over samples is shown per interval, on the same sigma axis as the denoising probes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from ...metrics.intervals import jackknife
from ...registry import Registry, made
from ..probes.probe import Quantity
from ..records import SETTING, TABLES
from .walk import Course, Walk, walk

WHOLE = -1
"""Stands where an interval's index would, for a number of the whole walk."""


@dataclass(frozen=True)
class Observed:
    """Columns of one walk: `steps` `(I, N)` for each interval, `whole` `(N,)` for the walk. NaN is "not scored"."""

    steps: dict[str, Tensor] = field(default_factory=dict)
    whole: dict[str, Tensor] = field(default_factory=dict)


class TrajectoryProbe(ABC):
    """One diagnostic of a sampler."""

    name: str
    quantities: tuple[Quantity, ...]
    predicts: bool = False
    """Whether it asks for `Walk.prediction` at every state: one evaluation an interval, shared by all that do."""

    def check(self, course: Course) -> None:  # noqa: B027
        """Raises ConfigError or DataError where this course can't be probed: before anything expensive."""

    def evaluations(self, course: Course) -> int:
        """Network evaluations per sample beyond the walk's own and its predictions."""
        return 0

    @abstractmethod
    def observe(self, walk: Walk) -> Observed:
        """The columns of a batch of samples."""


TRAJECTORY_PROBES: Registry[Callable[..., TrajectoryProbe]] = Registry("trajectory probe")
"""Trajectory probes by the name a suite uses, with arguments in parentheses."""


def trajectory_probe(text: str) -> TrajectoryProbe:
    """A probe by its name, with arguments if it takes any. Raises ConfigError."""
    return made(TRAJECTORY_PROBES, text)


def cost(course: Course, probes: Sequence[TrajectoryProbe]) -> int:
    """Network evaluations per sample of a walk and its probes."""
    sigmas = course.sigmas
    own = course.solver().evaluations(sigmas)
    predictions = len(sigmas) - 1 if any(probe.predicts for probe in probes) else 0
    return own + predictions + sum(probe.evaluations(course) for probe in probes)


def trace(
    course: Course,
    sample_ids: Tensor,
    probes: Sequence[TrajectoryProbe],
    *,
    batch_size: int = 256,
    progress: Callable[[int], None] = lambda evaluations: None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The probes' quantities on a course: table `steps` without its keys, one row per quantity and interval.

    Raises ConfigError or DataError first, where a probe does not apply.
    """
    for probe in probes:
        probe.check(course)
    parts: list[dict[str, Observed]] = []
    for start in range(0, len(sample_ids), batch_size):
        before = course.denoiser.evaluations
        walked = walk(course, sample_ids[start : start + batch_size])
        parts.append({probe.name: probe.observe(walked) for probe in probes})
        progress(course.denoiser.evaluations - before)
    sigmas = course.sigmas
    rows = [row for probe in probes for row in _rows(probe, [part[probe.name] for part in parts], sigmas, confidence)]
    return pd.DataFrame(rows, columns=[name for name in TABLES["steps"] if name not in SETTING])


def _rows(
    probe: TrajectoryProbe, parts: Sequence[Observed], sigmas: Tensor, confidence: float
) -> Iterator[dict[str, object]]:
    for quantity in probe.quantities:
        if set(quantity.columns) <= set(parts[0].whole):
            columns = torch.stack([torch.cat([part.whole[name] for part in parts]) for name in quantity.columns], 1)
            yield from _row(probe, quantity, WHOLE, (np.nan, np.nan), columns, confidence)
            continue
        by_name = [torch.cat([part.steps[name] for part in parts], 1) for name in quantity.columns]
        for index in range(len(sigmas) - 1):
            ends = float(sigmas[index]), float(sigmas[index + 1])
            yield from _row(
                probe, quantity, index, ends, torch.stack([column[index] for column in by_name], 1), confidence
            )


def _row(
    probe: TrajectoryProbe,
    quantity: Quantity,
    index: int,
    ends: tuple[float, float],
    columns: Tensor,
    confidence: float,
) -> Iterator[dict[str, object]]:
    """The quantity of columns `(N, c)` with its interval over samples; nothing where it is not scored."""
    table = columns.double().cpu().numpy()
    table = table[np.isfinite(table).all(1)]
    if len(table) < 2:
        return
    influence = jackknife(quantity.statistic, table)
    if not np.isfinite([influence.value, influence.standard_error]).all():
        return
    half = stats.t.ppf((1 + confidence) / 2, influence.freedom) * influence.standard_error
    yield {
        "probe": probe.name,
        "quantity": quantity.name,
        "slice": quantity.slice,
        "index": index,
        "sigma": ends[0],
        "sigma_next": ends[1],
        "value": influence.value,
        "low": influence.value - half,
        "high": influence.value + half,
        "error": influence.standard_error,
        "freedom": influence.freedom,
        "optimal": np.nan if quantity.optimal is None else quantity.optimal,
        "samples": len(table),
    }
