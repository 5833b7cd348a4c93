"""Which parameterization breaks where, in sentences: its gain blows an error up, and the measured error says so.

Tables -> broken (a row a parameterization and side) -> told -> the page's first lines.

An error of a network's output is `gain` times as large in the image or the noise it stands for. Where a gain is above 1
a parameterization can break; it does, for what a run knows, where its error there is surely larger than that of another
parameterization at the same level: their 95% intervals lie apart, by a tenth of the root-mean-square error at least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import tables as frames
from .numbers import number, percent, sigma_range
from .tables import Tables, by

APART = 1.1
"""Times the root-mean-square error of the best other parameterization: less is not told."""
SIDES = {"x0": "in the image", "eps": "in the noise"}


@dataclass(frozen=True)
class Broken:
    """One parameterization, on one side: image or noise."""

    form: str
    side: str
    gain: float
    """The largest, at `at`."""
    at: float
    model: str
    """That errs most beyond the best other parameterization, where any does; else empty."""
    ratio: float
    sigma: float
    other: str
    low: float
    """The levels at which it surely does."""
    high: float

    @property
    def text(self) -> str:
        where = "high" if self.side == "x0" else "low"
        blown = f"an error of its output is up to {number(self.gain, 2)} times as large {SIDES[self.side]} (σ "
        blown += f"{number(self.at, 2)})"
        if not self.model:
            return f"{self.form} is at risk at {where} noise, where {blown}; no model of this run shows it."
        little = " Samples feel little of it: an image's error at σ reaches them about 1/σ as large."
        return (
            f"{self.form} breaks at {where} noise, σ {sigma_range(self.low, self.high)}: {blown}, and {self.model} "
            f"errs up to {number(self.ratio, 2)} times as much as {self.other} there (root mean square, at σ "
            f"{number(self.sigma, 2)}).{little if self.side == 'x0' and self.low > 1 else ''}"
        )


def broken(tables: Tables) -> list[Broken]:
    """The parameterizations whose gains leave 1, worst first; none where no run's parameterization is known."""
    table = frames.parameterizations(tables)
    if table.empty:
        return []
    ends = tables.levels[["model", "level", "error", "low", "high"]]
    table = table.merge(ends, on=["model", "level"])
    found = []
    for form, rows in by(table, "parameterization"):
        for side in SIDES:
            top = rows.iloc[int(rows[f"gain_{side}"].argmax())]
            if top[f"gain_{side}"] > APART:
                beyond = _beyond(table, form, side)
                found.append(_row(form, side, top, beyond))
    return sorted(found, key=lambda one: -one.ratio if one.model else 0.0)


def _beyond(table: pd.DataFrame, form: str, side: str) -> pd.DataFrame:
    """Rows of a parameterization at levels where its gain is above 1 and another one's error is surely smaller."""
    own = table[(table["parameterization"] == form) & (table[f"gain_{side}"] > 1.0)]
    others = table[table["parameterization"] != form]
    if own.empty or others.empty:
        return own.iloc[:0]
    best = others.loc[others.groupby("level")["x0"].idxmin(), ["level", "model", "x0", "high"]]
    joined = own.merge(best, on="level", suffixes=("", "_other"))
    apart = np.sqrt(joined["low"] / joined["high_other"]) > APART
    return joined[apart].assign(ratio=joined["x0"] / joined["x0_other"])


def _row(form: str, side: str, top: pd.Series, beyond: pd.DataFrame) -> Broken:
    gain, at = float(top[f"gain_{side}"]), float(top["sigma"])
    if beyond.empty:
        return Broken(form, side, gain, at, "", 1.0, np.nan, "", np.nan, np.nan)
    worst = beyond.iloc[int(beyond["ratio"].argmax())]
    return Broken(
        form, side, gain, at, str(worst["model"]), float(worst["ratio"]), float(worst["sigma"]),
        str(worst["model_other"]), float(beyond["sigma"].min()), float(beyond["sigma"].max()),
    )  # fmt: skip


def told(tables: Tables) -> list[str]:
    """Sentences, worst first; the last one names those that are safe by construction, and what precision costs."""
    table = frames.parameterizations(tables)
    found = broken(tables)
    said = [one.text for one in found]
    forms = list(dict.fromkeys(table["parameterization"]))
    safe = [form for form in forms if form not in {one.form for one in found}]
    if safe:
        verb = "enlarge" if len(safe) > 1 else "enlarges"
        said.append(f"{' and '.join(safe)} nowhere {verb} an error: the gains are at most 1.")
    return said + precision(tables)


def precision(tables: Tables) -> list[str]:
    """What low precision costs at most, from probe `precision`; nothing where it did not run."""
    rows = tables.curves[(tables.curves["probe"] == "precision") & tables.curves["value"].notna()]
    said = []
    for quantity, what in (("output_share", "rounding its output alone"), ("network_share", "the network run in it")):
        own = rows[rows["quantity"] == quantity]
        if len(own):
            top = own.iloc[int(own["value"].astype(float).argmax())]
            cost = percent(1.0 + float(top["value"]), signed=False) if top["value"] < 2 else f"{top['value']:.1f} times"
            said.append(
                f"{what} costs at most {cost} of the denoising error ({top['model']}, σ {number(top['sigma'], 2)})"
            )
    return [f"In low precision, {', '.join(said)}."] if said else []
