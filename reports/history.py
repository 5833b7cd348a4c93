"""One metric followed over the runs of a store, oldest first, and where it changed for sure.

runs -> follow (readings of each, joined) -> Series of points that share a protocol -> cli_history.py,
figures/history.py, dashboards/history.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from ..evals.headlines import geometric_mean
from .numbers import sigma_range
from .policy import DENOISING_ERROR
from .tables import cell_title

if TYPE_CHECKING:
    from ..evals.store import Run

SAME = 1e-9
"""Relative: models' own schedules round one noise level to slightly different sigmas."""
LEAST = 2
"""Points on either side of a change: a single odd run is none."""


@dataclass(frozen=True)
class Point:
    """The metric in one run; low and high are NaN where there is no interval, commit is empty where it is not known."""

    run: str
    created: str
    commit: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Change:
    """From position `index` on the metric is another: means before and after, up to the neighbouring changes."""

    index: int
    before: float
    after: float
    p: float


@dataclass(frozen=True)
class Series:
    """One model and setting over runs whose numbers can be compared."""

    metric: str
    model: str
    setting: str
    """The sampler's, or over which noise levels the error is averaged."""
    points: tuple[Point, ...]
    changes: tuple[Change, ...]

    @property
    def title(self) -> str:
        return f"{self.model} · {self.metric} · {self.setting}"


@dataclass(frozen=True)
class Reading:
    """A number of one run: whose, in which setting, what it is conditional on, and the point it makes."""

    model: str
    setting: str
    protocol: str
    point: Point


def follow(
    runs: Sequence[Run], metric: str, model: str = "", band: tuple[float, float] | None = None, alpha: float = 0.05
) -> list[Series]:
    """Every series of a metric, models and settings in the order of their first run.

    metric, band: as in `readings`. Runs that differ in what must agree for a comparison make different series. Raises
    ConfigError, naming what there is, where no run has such a number.
    """
    found = [one for run in runs for one in readings(run, metric, band) if not model or one.model == model]
    if not found:
        raise ConfigError(f"no run has {metric!r}{f' of {model!r}' if model else ''}; there are: {_known(runs)}")
    return joined(found, metric, alpha)


def readings(run: Run, metric: str, band: tuple[float, float] | None = None) -> list[Reading]:
    """What a run says of a metric, of every model and setting that it is finite in.

    metric: a metric's name as it stands in the runs, or "denoising_error", of which the geometric mean over the noise
    levels is taken, or over those of `band` (sigma from low to high, ends included). Its interval is the geometric mean
    of the levels' ends: as wide as if all levels erred together, so never too narrow.
    """
    rows = _errors(run, band) if metric == DENOISING_ERROR else _metric(run, metric)
    record = run.record
    commit = record.environment.get("commit", "")
    return [
        Reading(model, setting, protocol, Point(run.id, record.created, commit, value, low, high))
        for model, setting, protocol, value, low, high in rows
        if np.isfinite(value)
    ]


def joined(found: Iterable[Reading], metric: str, alpha: float = 0.05) -> list[Series]:
    """Series of readings that share model, setting and protocol, oldest first, with their change points."""
    parts: defaultdict[tuple[str, ...], list[Point]] = defaultdict(list)
    for one in sorted(found, key=lambda one: (one.point.created, one.point.run)):
        parts[one.model, one.setting, one.protocol].append(one.point)
    return [
        Series(metric, name, setting, tuple(points), tuple(change_points([point.value for point in points], alpha)))
        for (name, setting, _), points in parts.items()
    ]


def change_points(values: ArrayLike, alpha: float = 0.05, resamples: int = 1999, seed: int = 0) -> list[Change]:
    """Where the mean of a sequence (n,) changes: binary segmentation (Vostrikova 1981), each split a permutation test.

    The statistic is the largest between-group sum of squares over all splits, its null distribution that of the values
    in random order; so of a sequence without any change, whose values could stand in any order, a change is reported
    with a probability of at most alpha. Needs about 8 values to be able to find any: of fewer, too many orders are as
    extreme. Runs of which each depends on the one before (fine-tuning on and on) are no such sequence.
    """
    sequence = np.asarray(values, np.float64)
    splits = sorted(_splits(sequence, 0, len(sequence), alpha, resamples, np.random.default_rng(seed)))
    if not splits:
        return []
    ends = [0, *(place for place, _ in splits), len(sequence)]
    means = [float(sequence[start:end].mean()) for start, end in pairwise(ends)]
    return [Change(place, means[i], means[i + 1], p) for i, (place, p) in enumerate(splits)]


def _splits(
    values: np.ndarray, start: int, end: int, alpha: float, resamples: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    segment = values[start:end]
    if len(segment) < 2 * LEAST or np.ptp(segment) == 0:
        return []
    centred = (segment - segment.mean()) / np.ptp(segment)
    between = _between(centred[None])[0]
    shuffled = rng.permuted(np.tile(centred, (resamples, 1)), axis=1)
    as_large = _between(shuffled).max(axis=1) >= between.max() * (1 - 1e-9)
    p = (1 + int(as_large.sum())) / (1 + resamples)
    if p > alpha:
        return []
    place = start + LEAST + int(between.argmax())
    left = _splits(values, start, place, alpha, resamples, rng)
    return [*left, (place, p), *_splits(values, place, end, alpha, resamples, rng)]


def _between(centred: np.ndarray) -> np.ndarray:
    """Between-group sums of squares of rows (m, n) of mean 0, split after LEAST, LEAST + 1 ... values: (m, splits)."""
    n = centred.shape[1]
    count = np.arange(LEAST, n - LEAST + 1)
    sums = centred.cumsum(axis=1)[:, count - 1]
    return np.asarray(sums**2 * n / (count * (n - count)))


_Row = tuple[str, str, str, float, float, float]


def _errors(run: Run, band: tuple[float, float] | None) -> list[_Row]:
    """model, setting, protocol, value, low, high: geometric means over the levels, each model's."""
    levels = run.table("levels")
    inside = levels if band is None else levels[levels["sigma"].between(band[0] * (1 - SAME), band[1] * (1 + SAME))]
    shapes = {model.name: str((model.event_shape, model.data_range, model.autoencoder)) for model in run.record.models}
    rows = []
    for name, own in inside.groupby("model", sort=False):
        reach = sigma_range(own["sigma"].min(), own["sigma"].max())
        setting = f"geometric mean of {len(own)} noise levels, sigma {reach}"
        protocol = f"{sorted(run.record.fingerprint.items())} {shapes.get(str(name), '')}"
        value, low, high = (geometric_mean(own[column].tolist()) for column in ("error", "low", "high"))
        rows.append((str(name), setting, protocol, value, low, high))
    return rows


def _metric(run: Run, metric: str) -> list[_Row]:
    table = run.table("metrics")
    chosen = table[table["metric"] == metric]
    return [
        (
            str(row["model"]), cell_title(row), f"{row['fingerprint']} {row['n']}", float(row["value"]),
            float(row["low"]), float(row["high"]),
        )
        for _, row in chosen.iterrows()
    ]  # fmt: skip


def _known(runs: Sequence[Run]) -> str:
    metrics = dict.fromkeys(name for run in runs for name in run.table("metrics")["metric"])
    probed = [DENOISING_ERROR] if any(len(run.table("levels")) for run in runs) else []
    models = dict.fromkeys(model.name for run in runs for model in run.record.models)
    return f"{', '.join([*probed, *metrics]) or 'none'}; models: {', '.join(models) or 'none'}"
