"""The images with the largest errors at each level, kept while a pass goes by: which images, once it is known where.

Four pictures each: the noisy input (scaled to the spread of clean data), the prediction, the truth, and where they
differ (mid-grey is no difference).

Which errors are largest depends on the model, so two models keep different images. The first images of the data set,
with their first noise, are kept beside them at every level: the same in every model, to compare what each answers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..companions import Autoencoder
from ..records import PICTURES
from .probe import Evaluations

Entry = tuple[float, int, int, float, Tensor]
"""Error, image, draw, sigma, and the three pictures."""


class Worst:
    """Shown every batch of a pass, it keeps the `count` largest errors of each level; latents are decoded last.

    shared: how many images, from the first, are kept of each level whatever their errors.
    """

    def __init__(self, count: int, autoencoder: Autoencoder | None = None, shared: int = 0) -> None:
        self.count, self.autoencoder, self.shared = count, autoencoder, shared
        self._kept: dict[int, list[Entry]] = {}
        self._shared: dict[int, list[Entry]] = {}

    def __call__(self, seen: Evaluations) -> None:
        if seen.x0.ndim != 4 or self.count == 0:
            return
        for level in torch.unique(seen.index).tolist():
            rows = torch.nonzero(seen.index == level).flatten()
            error = seen.error[rows.to(seen.x0.device)].cpu()
            for place in torch.topk(error, min(self.count, len(rows))).indices.tolist():
                self._kept.setdefault(level, []).append(_entry(seen, int(rows[place])))
            always = [row for row in rows.tolist() if seen.image[row] < self.shared and seen.draw[row] == 0]
            self._shared.setdefault(level, []).extend(_entry(seen, row) for row in always)
            # ties go to the lower image and draw, so that batches can't matter
            self._kept[level] = sorted(self._kept[level], key=_order)[: self.count]

    def _entries(self) -> list[tuple[int, int, Entry]]:
        """(level, rank, entry), each once, the largest error of a level first."""
        found = []
        for level, kept in sorted(self._kept.items()):
            each = {entry[1:3]: entry for entry in [*kept, *self._shared.get(level, ())]}
            found += [(level, rank, entry) for rank, entry in enumerate(sorted(each.values(), key=_order))]
        return found

    def table(self, labels: Tensor | None) -> pd.DataFrame:
        """One row an entry, in the order of `tiles`."""
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
            for number, (level, rank, (error, image, draw, sigma, _)) in enumerate(self._entries())
        )

    def tiles(self) -> np.ndarray | None:
        """`(4 * entries, H, W, C)` uint8, or None where nothing was kept."""
        kept = [three for _, _, (*_, three) in self._entries()]
        if not kept:
            return None
        shown = torch.cat(kept) if self.autoencoder is None else self.autoencoder.images(torch.cat(kept))
        noisy, prediction, truth = shown.unflatten(0, (-1, 3)).unbind(1)
        pictures = torch.stack((noisy, prediction, truth, (prediction - truth) / 2.0), dim=1).flatten(0, 1)
        pictures = ((pictures.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
        return pictures.permute(0, 2, 3, 1).contiguous().numpy()


def _order(entry: Entry) -> tuple[float, int, int]:
    return (-entry[0], entry[1], entry[2])


def _entry(seen: Evaluations, row: int) -> Entry:
    facts = (float(seen.error[row]), int(seen.image[row]), int(seen.draw[row]), float(seen.level.sigma[row]))
    return (*facts, _seen(seen, row))


def _seen(seen: Evaluations, row: int) -> Tensor:
    """Noisy input, prediction and truth, `(3, *event_shape)`."""
    sigma = float(seen.level.sigma[row])
    truth, prediction = seen.x0[row], seen.prediction.x0[row]
    noisy = (truth + sigma * seen.eps[row]) / (1.0 + sigma**2) ** 0.5
    return torch.stack((noisy, prediction, truth)).cpu()
