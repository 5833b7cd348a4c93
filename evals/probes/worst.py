"""The images with the largest errors at each level, kept while a pass goes by: which images, once it is known where.

Four pictures each: the noisy input (scaled to the spread of clean data), the prediction, the truth, and where they
differ (mid-grey is no difference).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..companions import Autoencoder
from ..records import PICTURES
from .probe import Evaluations


class Worst:
    """Shown every batch of a pass, it keeps the `count` largest errors of each level; latents are decoded last."""

    def __init__(self, count: int, autoencoder: Autoencoder | None = None) -> None:
        self.count, self.autoencoder = count, autoencoder
        self._kept: dict[int, list[tuple[float, int, int, float, Tensor]]] = {}

    def __call__(self, seen: Evaluations) -> None:
        if seen.x0.ndim != 4 or self.count == 0:
            return
        for level in torch.unique(seen.index).tolist():
            rows = torch.nonzero(seen.index == level).flatten()
            error = seen.error[rows.to(seen.x0.device)].cpu()
            for place in torch.topk(error, min(self.count, len(rows))).indices.tolist():
                row = int(rows[place])
                entry = (float(error[place]), int(seen.image[row]), int(seen.draw[row]), float(seen.level.sigma[row]))
                self._kept.setdefault(level, []).append((*entry, _seen(seen, row)))
            # ties go to the lower image and draw, so that batches can't matter
            self._kept[level] = sorted(self._kept[level], key=lambda e: (-e[0], e[1], e[2]))[: self.count]

    def table(self, labels: Tensor | None) -> pd.DataFrame:
        """One row an entry, in the order of `tiles`."""
        entries = [
            (level, rank, entry) for level, kept in sorted(self._kept.items()) for rank, entry in enumerate(kept)
        ]
        return pd.DataFrame(
            {
                "level": level,
                "sigma": sigma,
                "rank": rank,
                "image": image,
                "label": -1 if labels is None else int(labels[image]),
                "draw": draw,
                "error": error,
                "tile": len(PICTURES) * number,
            }
            for number, (level, rank, (error, image, draw, sigma, _)) in enumerate(entries)
        )

    def tiles(self) -> np.ndarray | None:
        """`(4 * entries, H, W, C)` uint8, or None where nothing was kept."""
        kept = [three for _, entries in sorted(self._kept.items()) for *_, three in entries]
        if not kept:
            return None
        shown = torch.cat(kept) if self.autoencoder is None else self.autoencoder.images(torch.cat(kept))
        noisy, prediction, truth = shown.unflatten(0, (-1, 3)).unbind(1)
        pictures = torch.stack((noisy, prediction, truth, (prediction - truth) / 2.0), dim=1).flatten(0, 1)
        pictures = ((pictures.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
        return pictures.permute(0, 2, 3, 1).contiguous().numpy()


def _seen(seen: Evaluations, row: int) -> Tensor:
    """Noisy input, prediction and truth, `(3, *event_shape)`."""
    sigma = float(seen.level.sigma[row])
    truth, prediction = seen.x0[row], seen.prediction.x0[row]
    noisy = (truth + sigma * seen.eps[row]) / (1.0 + sigma**2) ** 0.5
    return torch.stack((noisy, prediction, truth)).cpu()
