"""One pass over (level, draw, image) that every probe of a denoiser's single evaluations feeds on.

Rows are packed into full batches across levels, so few images cost no more per evaluation than many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import DataSet
from ..denoiser import Cond, Denoiser
from ..levels import Level, broadcast
from ..noise import Noise
from ..parameterization import Prediction

_LEVELS_MAX = 1 << 16
"""The noise of (level, draw) is step draw * 2^16 + level of the stream "probe"."""


@dataclass(frozen=True)
class Evaluations:
    """A batch of network evaluations; every field has B rows."""

    image: Tensor
    """Image ids, int64."""
    index: Tensor
    """Level numbers, int64."""
    draw: Tensor
    level: Level
    x0: Tensor
    """Clean images `(B, *event_shape)`."""
    eps: Tensor
    """The noise that was added."""
    prediction: Prediction


def evaluate(
    denoiser: Denoiser,
    data: DataSet,
    sigmas: Tensor,
    draws: int,
    noise: Noise,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[Evaluations]:
    """Evaluate every image at every level `sigmas` `(L,)`, `draws` times: x_t = alpha (x0 + sigma eps).

    The noise depends on (seed, image id, level number, draw) alone, so all models meet the same.
    """
    images = len(data.images)
    total = len(sigmas) * draws * images
    clean = data.images.to(denoiser.device)
    levels = denoiser.level(sigmas)
    for start in range(0, total, batch_size):
        row = torch.arange(start, min(start + batch_size, total))
        image, draw, index = row % images, row // images % draws, row // (images * draws)
        x0 = clean[image]
        step = (draw * _LEVELS_MAX + index).to(denoiser.device)
        eps = noise.normal(image.to(denoiser.device), "probe", step, denoiser.event_shape)
        level = levels[index]
        x_t = broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
        prediction = denoiser.predict(x_t, level, labels_of(denoiser, data, image))
        progress(len(row))
        yield Evaluations(image, index, draw, level, x0, eps, prediction)


def labels_of(denoiser: Denoiser, data: DataSet, image: Tensor) -> Cond:
    """The images' own labels, for a class-conditional model."""
    if denoiser.traits.classes is None or data.labels is None:
        return {}
    return {"class_labels": data.labels[image]}
