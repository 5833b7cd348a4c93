"""Pictures of the images where a model loses most against the baseline, taken once both were probed.

A pass keeps the images that its model gets most wrong (probes/worst.py), which need not be those that it gets worse
than the baseline. Which those are is known when both passes are done. Noise depends on seed, image, level and draw
alone, so both models are asked about them again, and give the answers that they gave:

    errors of two finished cells -> `losing` -> Rows -> both models -> table `losses`, four pictures a row
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from ..errors import ModelError
from .probes import Subject
from .probes.engine import Rows, evaluate_rows
from .probes.worst import Worst
from .records import PICTURES
from .run import Run
from .store import sheet_holds

SHARE = 20
"""A pass may cost so many times as much as these pictures, or more."""
PAIR = ["level", "image", "draw"]


def kept_of_a_level(worst: int, evaluations: int, levels: int, images: int, shape: tuple[int, ...]) -> int:
    """How many images of each level: twice as many as a pass keeps, while it is cheap and a sheet has room for them.

    evaluations: of the pass; shape: of an image. Only pictures are kept.
    """
    if len(shape) != 3 or worst == 0:
        return 0
    room = sheet_holds(*shape[-2:]) // (2 * len(PICTURES) * levels)
    return min(2 * worst, evaluations // (2 * SHARE * levels), images, room)


def losing(base: pd.DataFrame, candidate: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` images of each level whose error the candidate raises most, or lowers least, on average over draws.

    base, candidate: rows of table `evaluations`, of which those are looked at that both have. Columns: level, image,
    and the draw that loses most.
    """
    both = base[[*PAIR, "error"]].merge(candidate[[*PAIR, "error"]], on=PAIR, suffixes=("_base", "")).dropna()
    both["loss"] = both["error"] - both["error_base"]
    # ties go to the lower image and draw
    both = both.sort_values(["level", "loss", "draw"], ascending=[True, False, True], kind="stable")
    images = both.groupby(["level", "image"], as_index=False).agg(loss=("loss", "mean"), draw=("draw", "first"))
    images = images.sort_values(["level", "loss", "image"], ascending=[True, False, True])
    return images.groupby("level").head(count)[PAIR].reset_index(drop=True)


def pictured(
    gathered: Run,
    subjects: dict[str, Subject],
    baseline: str,
    candidate: str,
    count: int,
    batch_size: int,
    progress: Callable[[int], None],
) -> tuple[dict[str, pd.DataFrame], np.ndarray | None]:
    """Table `losses` and its pictures, from the cells that `gathered` holds.

    Raises ModelError where one of the two has no errors yet: its own cell failed.
    """
    base, own = (_errors(gathered, name) for name in (baseline, candidate))
    chosen = losing(base, own, count)
    rows = Rows(*(torch.from_numpy(chosen[name].to_numpy(np.int64)) for name in ("level", "draw", "image")))
    tables: list[pd.DataFrame] = []
    pictures: list[np.ndarray] = []
    for name in (candidate, baseline):
        subject, seen = subjects[name], Worst(count, subjects[name].denoiser.autoencoder)
        for batch in evaluate_rows(subject, rows, batch_size=batch_size, progress=progress):
            seen(batch)
        shown = seen.tiles()
        if shown is not None:
            table, before = seen.table(subject.data.labels), sum(len(one) for one in pictures)
            tables.append(table.assign(candidate=candidate, model=name, tile=table["tile"] + before))
            pictures.append(shown)
    return ({"losses": pd.concat(tables)}, np.concatenate(pictures)) if tables else ({}, None)


def _errors(gathered: Run, model: str) -> pd.DataFrame:
    """What its pass found, without the columns of probes."""
    parts: list[pd.DataFrame] = [part.to_pandas() for part in gathered.parts("evaluations", ["model", *PAIR, "error"])]
    found = [part[part["model"] == model] for part in parts if (part["model"] == model).any()]
    if not found:
        raise ModelError(f"expected the errors of {model!r}, got none: its own cell failed, or is not done")
    return pd.concat(found, ignore_index=True)
