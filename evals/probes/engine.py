"""One pass over (level, draw, image) that every probe feeds on.

Rows are packed into full batches across levels, so few images cost no more per evaluation than many. What comes out is
one table, a row an evaluation; `curves` makes quantities per level of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data import DataSet
from ..denoiser import Cond, Denoiser
from ..levels import broadcast
from .probe import LEVELS_MAX, Evaluations, Probe, Subject

KEYS = ("level", "sigma", "image", "label", "draw", "error")
"""Columns that every row has; those of the probes follow, as PROBE.COLUMN."""


class Rows(NamedTuple):
    """Which evaluations to make: three int64 tensors of one length."""

    level: Tensor
    """Level numbers."""
    draw: Tensor
    image: Tensor
    """Image ids."""


def evaluate(
    subject: Subject,
    draws: int,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[Evaluations]:
    """Evaluate every image at every level, `draws` times: x_t = alpha (x0 + sigma eps)."""
    return _asked(subject, _grid(len(subject.sigmas), draws, len(subject.data.images), batch_size), progress)


def evaluate_rows(
    subject: Subject,
    rows: Rows,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[Evaluations]:
    """Evaluate some of the rows, such as those that an adaptive pass still needs."""
    parts = zip(*(column.split(batch_size) for column in rows), strict=True)
    return _asked(subject, (Rows(*part) for part in parts), progress)


def _grid(levels: int, draws: int, images: int, batch_size: int) -> Iterator[Rows]:
    """Batches of the full grid, level by level, then draw by draw."""
    total = levels * draws * images
    for start in range(0, total, batch_size):
        row = torch.arange(start, min(start + batch_size, total))
        yield Rows(row // (images * draws), row // images % draws, row % images)


def _asked(subject: Subject, batches: Iterable[Rows], progress: Callable[[int], None]) -> Iterator[Evaluations]:
    """The noise depends on (seed, image id, level number, draw) alone, so all models meet the same."""
    denoiser, data = subject.denoiser, subject.data
    clean, levels = data.images.to(denoiser.device), subject.levels
    for index, draw, image in batches:
        there = image.to(denoiser.device)
        x0 = clean[there]
        step = (draw * LEVELS_MAX + index).to(denoiser.device)
        eps = subject.noise.normal(there, "probe", step, denoiser.event_shape)
        level = levels[index]
        x_t = broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
        cond = labels_of(denoiser, data, image)
        prediction = denoiser.predict(x_t, level, cond)
        progress(len(image))
        yield Evaluations(image, index, draw, level, cond, x0, eps, prediction)


def measure(
    subject: Subject,
    probes: Sequence[Probe],
    draws: int,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda evaluations: None,
    watch: Callable[[Evaluations], None] = lambda seen: None,
) -> pd.DataFrame:
    """What the probes see: one row per evaluation, with KEYS and the probes' columns, NaN where one wasn't asked.

    `watch` is shown every batch as well. Raises ConfigError or DataError first, where a probe does not apply.
    """
    for probe in probes:
        probe.check(subject)
    table = Columns(len(subject.sigmas) * draws * len(subject.data.images))
    for seen in evaluate(subject, draws, batch_size=batch_size, progress=progress):
        table.append(observed(seen, subject, probes, progress))
        watch(seen)
    return table.frame()


HELD_BYTES = 1 << 26
"""Columns beyond so many bytes lie in temporary files: a pass's memory does not grow with its images from there on."""


class Columns:
    """A table of known length that is filled batch by batch, each column allocated once: no second copy to join."""

    def __init__(self, rows: int, held_bytes: int = HELD_BYTES) -> None:
        self.rows, self.filled, self.left = rows, 0, held_bytes
        self._columns: dict[str, np.ndarray] = {}

    def append(self, batch: dict[str, np.ndarray]) -> None:
        """Columns of one length each; one that is missing from a batch is NaN there."""
        size = len(next(iter(batch.values())))
        for name, values in batch.items():
            if name not in self._columns:
                self._columns[name] = self._blank(values.dtype)
            self._columns[name][self.filled : self.filled + size] = values
        self.filled += size

    def _blank(self, dtype: np.dtype) -> np.ndarray:
        """A column of NaN, or of 0 where it counts; in memory as long as there is room, then in an unnamed file."""
        self.left -= self.rows * dtype.itemsize
        if self.left >= 0:
            column = np.empty(self.rows, dtype)
        else:
            with tempfile.TemporaryFile(prefix="sigmascope-") as file:  # stays while it is mapped
                column = np.asarray(np.memmap(file, dtype, "w+", shape=(self.rows,)))
        column[:] = np.nan if dtype.kind == "f" else 0
        return column

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame({name: values[: self.filled] for name, values in self._columns.items()}, copy=False)


def cost(probes: Sequence[Probe], levels: int, draws: int, images: int) -> int:
    """Network evaluations of one pass."""
    return levels * draws * images + sum(probe.cost(levels, draws, images) for probe in probes)


def labels_of(denoiser: Denoiser, data: DataSet, image: Tensor) -> Cond:
    """The images' own labels, for a class-conditional model."""
    if denoiser.traits.classes is None or data.labels is None:
        return {}
    return {"class_labels": data.labels[image]}


def observed(
    seen: Evaluations,
    subject: Subject,
    probes: Sequence[Probe],
    progress: Callable[[int], None],
    rank: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """A batch's columns: KEYS and those of the probes.

    `rank` is each image's place in the order in which they are asked about, by id; by default the ids are.
    """
    columns = _keys(seen, subject.data)
    place = seen.image if rank is None else rank[seen.image]
    for probe in probes:
        columns |= _observed(probe, seen, place, subject, progress)
    return columns


_TYPES = (np.int32, np.float64, np.int32, np.int32, np.int32, np.float64)
"""Of KEYS: a row of a pass is 32 bytes, and 4 for each column of the probes."""


def _keys(seen: Evaluations, data: DataSet) -> dict[str, np.ndarray]:
    label = torch.full_like(seen.image, -1) if data.labels is None else data.labels[seen.image]
    found = (seen.index, seen.level.sigma, seen.image, label, seen.draw, seen.error)
    return {name: tensor.cpu().numpy().astype(kind) for name, tensor, kind in zip(KEYS, found, _TYPES, strict=True)}


def _observed(
    probe: Probe, seen: Evaluations, place: Tensor, subject: Subject, progress: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """The probe's columns for all rows of the batch, in float32."""
    rows = torch.arange(len(seen)) if probe.images is None else torch.nonzero(place < probe.images).flatten()
    columns = {}
    if len(rows):
        part = seen if len(rows) == len(seen) else seen[rows]
        before = subject.denoiser.evaluations
        for name, values in probe.observe(part, subject).items():
            whole = np.full(len(seen), np.nan, np.float32)
            whole[rows.numpy()] = values.cpu().numpy()
            columns[f"{probe.name}.{name}"] = whole
        progress(subject.denoiser.evaluations - before)
    return columns
