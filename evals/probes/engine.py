"""One pass over (level, draw, image) that every probe feeds on.

Rows are packed into full batches across levels, so few images cost no more per evaluation than many. What comes out is
one table, a row an evaluation; `curves` makes quantities per level of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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


def evaluate(
    subject: Subject,
    draws: int,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[Evaluations]:
    """Evaluate every image at every level, `draws` times: x_t = alpha (x0 + sigma eps).

    The noise depends on (seed, image id, level number, draw) alone, so all models meet the same.
    """
    denoiser, data = subject.denoiser, subject.data
    images = len(data.images)
    total = len(subject.sigmas) * draws * images
    clean, levels = data.images.to(denoiser.device), subject.levels
    for start in range(0, total, batch_size):
        row = torch.arange(start, min(start + batch_size, total))
        image, draw, index = row % images, row // images % draws, row // (images * draws)
        x0 = clean[image]
        step = (draw * LEVELS_MAX + index).to(denoiser.device)
        eps = subject.noise.normal(image.to(denoiser.device), "probe", step, denoiser.event_shape)
        level = levels[index]
        x_t = broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
        cond = labels_of(denoiser, data, image)
        prediction = denoiser.predict(x_t, level, cond)
        progress(len(row))
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
    parts = []
    for seen in evaluate(subject, draws, batch_size=batch_size, progress=progress):
        columns = _keys(seen, subject.data)
        for probe in probes:
            columns |= _observed(probe, seen, subject, progress)
        watch(seen)
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def cost(probes: Sequence[Probe], levels: int, draws: int, images: int) -> int:
    """Network evaluations of one pass."""
    return levels * draws * images + sum(probe.cost(levels, draws, images) for probe in probes)


def labels_of(denoiser: Denoiser, data: DataSet, image: Tensor) -> Cond:
    """The images' own labels, for a class-conditional model."""
    if denoiser.traits.classes is None or data.labels is None:
        return {}
    return {"class_labels": data.labels[image]}


def _keys(seen: Evaluations, data: DataSet) -> dict[str, np.ndarray]:
    label = torch.full_like(seen.image, -1) if data.labels is None else data.labels[seen.image]
    found = (seen.index, seen.level.sigma, seen.image, label, seen.draw, seen.error)
    return {name: tensor.cpu().numpy() for name, tensor in zip(KEYS, found, strict=True)}


def _observed(
    probe: Probe, seen: Evaluations, subject: Subject, progress: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """The probe's columns for all rows of the batch, in float32."""
    rows = torch.arange(len(seen)) if probe.images is None else torch.nonzero(seen.image < probe.images).flatten()
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
