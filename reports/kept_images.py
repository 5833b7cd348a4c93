"""The images of a model that a run kept: its hardest (table `worst`), and those where it or another loses (`losses`).

Run -> kept_images -> rows in the columns of `worst` and pictures by tile -> Report.worst -> figures/strips.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .figures.strips import KEYS

if TYPE_CHECKING:
    from ..evals.store import Run


def kept_images(run: Run, model: str) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Each image of a level and draw once, rank 0 the largest error; tiles are numbered anew where tables join."""
    rows, losses = run.table("worst"), run.table("losses")
    found, pictures = [rows[rows["model"] == model]], dict(run.worst(model))
    for candidate, part in losses[losses["model"] == model].groupby("candidate"):
        shown, first = run.losses(str(candidate)), 1 + max(pictures, default=-1)
        part = part[part["tile"].isin(list(shown))]
        found.append(part.assign(tile=part["tile"] + first)[list(rows)])
        pictures |= {first + tile: picture for tile, picture in shown.items()}
    if len(found) == 1:
        return found[0], pictures
    joined = pd.concat([one for one in found if len(one)], ignore_index=True).drop_duplicates(KEYS)
    joined = joined.sort_values(["level", "error", "image", "draw"], ascending=[True, False, True, True])
    return joined.assign(rank=joined.groupby("level").cumcount()).reset_index(drop=True), pictures
