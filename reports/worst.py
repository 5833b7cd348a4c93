"""Where inside a worse band it is worst: which classes, and which images, with their pictures where a run kept some.

Comparison -> worst_of -> Worst -> `sentence`. Within a band, an image's errors are divided by the baseline's mean error
at their level, so that every level weighs the same, and averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..metrics.intervals import paired_log_ratio
from .compare import Band, Comparison, paired_errors
from .findings import Finding
from .numbers import percent, sigma_range

if TYPE_CHECKING:
    from ..evals.store import Run


@dataclass(frozen=True, eq=False)
class Worst:
    """classes: label, images, ratio, low, high (all classes at once), worst first, those of 2 images or more.
    images: image, label, baseline, candidate, difference (of errors over the baseline's mean), tile: of the candidate's
    picture in its run (`Run.worst`), -1 where none was kept; worst first.
    """

    band: Band
    classes: pd.DataFrame
    images: pd.DataFrame

    @property
    def surely(self) -> pd.DataFrame:
        """Classes that are worse for sure."""
        return self.classes[self.classes["low"] > 1]


def worst_of(
    comparison: Comparison, evaluations: pd.DataFrame, run: Run | None = None, model: str = "", count: int = 12
) -> Worst | None:
    """Inside the worst band of a comparison; None where no level is worse for sure.

    evaluations: those the comparison was made of. run, model: where the candidate's pictures are, and its name there.
    """
    bands = [band for band in comparison.bands if band.ratio > 1]
    if not bands:
        return None
    band = bands[0]
    # by level: two models' sigmas of a level may differ in the last digits, and the band's ends are the baseline's
    within = comparison.levels["sigma"].between(band.sigma_low, band.sigma_high)
    levels = comparison.levels.loc[within, "level"]
    inside = evaluations[evaluations["level"].isin(levels)]
    _, ids, ours, theirs = paired_errors(inside, comparison.baseline, comparison.candidate)
    scale = np.nanmean(ours, axis=0)
    base, candidate = np.nanmean(ours / scale, axis=1), np.nanmean(theirs / scale, axis=1)
    labels = inside.drop_duplicates("image").set_index("image")["label"].reindex(ids).to_numpy()
    images = pd.DataFrame({"image": ids, "label": labels, "baseline": base, "candidate": candidate})
    images["difference"] = images["candidate"] - images["baseline"]
    top = images.nlargest(count, "difference").reset_index(drop=True)
    kept = _tiles(run, model or comparison.candidate, levels)
    return Worst(band, _classes(images, comparison), top.assign(tile=[kept.get(one, -1) for one in top["image"]]))


def sentence(worst: Worst) -> str:
    """ "most in class 3: +60% [+40%, +82%] (1 of 10 classes worse for sure). Of all images most in #7 (class 5)".

    Two statements: the worst images need not be of the worst class.
    """
    images = named(worst.images["image"].head(5), worst.images["label"].head(5))
    if len(worst.classes) > 1:
        top = worst.classes.iloc[0]
        between = f"[{percent(top['low'])}, {percent(top['high'])}]"
        return (
            f"most in class {int(top['label'])}: {percent(top['ratio'])} {between} "
            f"({len(worst.surely)} of {len(worst.classes)} classes worse for sure). Of all images most in {images}"
        )
    return f"most in images {images}"


def named(images: Iterable[int], labels: Iterable[int]) -> str:
    """Images of the data set with their classes: "#335 (class 6), #87 (5)"; without a class "#335"."""
    said, word = [], "class "
    for image, label in zip(images, labels, strict=True):
        said.append(f"#{int(image)}" + (f" ({word}{int(label)})" if label >= 0 else ""))
        word = "" if label >= 0 else word
    return ", ".join(said)


def worst_findings(comparisons: Sequence[Comparison], evaluations: pd.DataFrame) -> list[Finding]:
    """A sentence for each comparison with a worse band, to stand below that band's; none where pairs are missing."""
    found = []
    for comparison in comparisons:
        if not (evaluations["model"] == comparison.baseline).any():
            continue
        worst = worst_of(comparison, evaluations)
        if worst is not None:
            there = sigma_range(worst.band.sigma_low, worst.band.sigma_high)
            text = f"{comparison.candidate}: at sigma {there} {sentence(worst)}"
            found.append(Finding("worse", text, math.log(worst.band.ratio)))
    return found


def _classes(images: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Ratio of means in each class; classes have no image in common, so all at once is by Šidák."""
    groups = [(label, rows) for label, rows in images[images["label"] >= 0].groupby("label") if len(rows) >= 2]
    settings = replace(comparison.settings, confidence=comparison.settings.confidence ** (1 / max(len(groups), 1)))
    rows = []
    for label, group in groups:
        pair = paired_log_ratio(group[["baseline"]], group[["candidate"]], settings.confidence, resamples=1)
        ends = (pair.ratio.item(), pair.low.item(), pair.high.item())
        rows.append((label, len(group), *ends))
    table = pd.DataFrame(rows, columns=["label", "images", "ratio", "low", "high"])
    return table.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)


def _tiles(run: Run | None, model: str, levels: pd.Series[int]) -> dict[int, int]:
    """First tile of each image that the run kept of the model at one of the levels: of its largest error."""
    if run is None:
        return {}
    kept = run.table("worst")
    kept = kept[(kept["model"] == model) & kept["level"].isin(levels)]
    largest = kept.sort_values("error", ascending=False, kind="stable").drop_duplicates("image")
    return {int(image): int(tile) for image, tile in zip(largest["image"], largest["tile"], strict=True)}
