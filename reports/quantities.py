"""What probes found, as a picture wants it: which curves there are, each with its levels, and the weights of a loss.

Tables -> offered (what can be chosen) -> quantities (rows) -> figures/probes.py, figures/slices.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .diagnosis import RULES, Diagnosis, Rule
from .tables import Tables

SCORED = ["model", "probe", "quantity", "slice", "level", "sigma", "value", "low", "high", "optimal", "images"]


LABELS = {
    ("raw_output", "raw"): ("mean square", "raw output error"),
    ("raw_output", "gain_x0"): ("× output error", "gain to image"),
    ("raw_output", "gain_eps"): ("× output error", "gain to noise"),
    ("precision", "output_share"): ("share of squared error", "output rounded"),
    ("precision", "network_share"): ("share of squared error", "network rounded"),
}
"""(probe, quantity) -> its unit and its name, where the probe's own words say too little."""


@dataclass(frozen=True, order=True)
class Curve:
    """One quantity of one probe, in one slice of the images."""

    probe: str
    quantity: str
    slice: str = "all"

    @property
    def name(self) -> str:
        """ "calibration: slope"."""
        return f"{self.probe.replace('_', ' ')}: {self.quantity.replace('_', ' ')}"

    @property
    def label(self) -> tuple[str, str]:
        """What stands beside an axis: what it is, and of what or in which unit."""
        known = LABELS.get((self.probe, self.quantity))
        return known or (self.probe.replace("_", " "), self.quantity.replace("_", " "))

    @property
    def title(self) -> str:
        """ "spectrum: over wiener, frequency 0.5 and up"."""
        return self.name if self.slice == "all" else f"{self.name}, {self.slice}"

    @property
    def rule(self) -> Rule | None:
        """What it means to leave the healthy range, where that is known."""
        return next((rule for rule in RULES if (rule.probe, rule.quantity) == (self.probe, self.quantity)), None)


def offered(tables: Tables) -> list[Curve]:
    """Every curve of some model, in the order of the runs."""
    keys = tables.curves[["probe", "quantity", "slice"]].drop_duplicates()
    return [Curve(*map(str, key)) for key in keys.itertuples(index=False, name=None)]


def slices(tables: Tables, curve: Curve) -> list[Curve]:
    """The same quantity in every slice it has."""
    return [one for one in offered(tables) if (one.probe, one.quantity) == (curve.probe, curve.quantity)]


def quantities(tables: Tables, chosen: Iterable[Curve]) -> pd.DataFrame:
    """Rows of table `curves` for the curves chosen, in that order, by model and sigma; with the levels' time, log_snr.

    Columns: model, probe, quantity, slice, level, sigma, value, low, high, optimal, images, time, log_snr.
    """
    table = tables.curves[SCORED]
    probe, quantity, part = (table[name].to_numpy(object) for name in ("probe", "quantity", "slice"))
    places = np.full(len(table), -1)
    for place, one in enumerate(chosen):
        places[(probe == one.probe) & (quantity == one.quantity) & (part == one.slice)] = place
    table = (
        table[places >= 0]
        .assign(_curve=places[places >= 0])
        .merge(tables.levels[["model", "level", "time", "log_snr"]], on=["model", "level"], how="left")
    )
    order = {label: place for place, label in enumerate(tables.labels)}
    table = table.assign(_model=table["model"].map(order)).sort_values(["_curve", "_model", "sigma"], kind="stable")
    return table.drop(columns=["_curve", "_model"]).reset_index(drop=True)


LOSSES = ("edm", "min_snr", "p2")
"""Training losses by name, those of `evals.weightings.WEIGHTINGS`: to offer them takes no torch."""


def training_weights(tables: Tables, model: str, loss: str) -> pd.DataFrame:
    """One model's levels with what a training loss makes of them: `evals.weightings.weighted`.

    Raises ConfigError for an unknown loss, DataError where the model has fewer than 2 levels.
    """
    from ..evals.weightings import weighted, weighting  # here, for it imports torch

    return weighted(tables.levels[tables.levels["model"] == model], weighting(loss))


def told(found: Sequence[Diagnosis]) -> list[Curve]:
    """The curves that findings are about, worst first."""
    return list(dict.fromkeys(Curve(one.rule.probe, one.rule.quantity, one.slice) for one in found))


def against_baseline(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """`quantities` with each `ratio` to the baseline's value, same slice and level; NaN unless both are above 0."""
    keys = ["probe", "quantity", "slice", "level"]
    base = table[table["model"] == baseline][[*keys, "value"]].rename(columns={"value": "base"})
    joined = table.merge(base, on=keys, how="left")
    both = (joined["value"] > 0) & (joined["base"] > 0)
    return joined.assign(ratio=np.where(both, joined["value"] / joined["base"], np.nan)).drop(columns="base")
