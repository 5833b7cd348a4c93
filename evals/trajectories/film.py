"""A film of sampling: the state and the prediction at each step, as pictures, for a few seeds.

States are scaled to the spread of clean data, x / sqrt(1 + sigma^2), as `probes.worst` shows its noisy inputs; at
infinity, where a model starts from pure noise, that is the noise. Index i is the state before interval i, the last the
sample itself. A prediction stands where there is a scaled state to ask about: not at infinity and not at 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .walk import Walk

STATE, PREDICTION = "state", "prediction"


def film(walk: Walk) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of table `film` without its keys, and the pictures `(rows, H, W, C)` uint8 in their order.

    One evaluation per sample and finite level above 0. Samples are images or latents that have an autoencoder.
    """
    rows: list[dict[str, object]] = []
    pictures: list[Tensor] = []
    for index, picture, frames in _frames(walk):
        for sample, frame in zip(walk.sample_ids.tolist(), frames, strict=True):
            entry = {"sample": sample, "index": index, "sigma": float(walk.sigmas[index]), "picture": picture}
            rows.append({**entry, "tile": len(rows)})
            pictures.append(frame)
    shown, autoencoder = torch.stack(pictures), walk.course.denoiser.autoencoder
    shown = shown if autoencoder is None else autoencoder.images(shown)
    shown = ((shown.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    return pd.DataFrame(rows), shown.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _frames(walk: Walk) -> Iterator[tuple[int, str, Tensor]]:
    """(index, what it shows, `(N, *event_shape)`), from noise to data."""
    for index, (x, sigma) in enumerate(zip(walk.states, walk.sigmas.tolist(), strict=True)):
        if math.isinf(sigma):
            course = walk.course
            yield index, STATE, course.noise.normal(walk.sample_ids, "initial", 0, course.denoiser.event_shape)
            continue
        yield index, STATE, x / math.sqrt(1.0 + sigma**2)
        if sigma > 0:
            yield index, PREDICTION, walk.prediction(index).x0
