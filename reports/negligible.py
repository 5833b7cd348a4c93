"""Where a probe's curve surely leaves the healthy range and yet moves samples by too little to be told as a finding.

`diagnosis` tells what is both sure and large enough to matter. A reader of a curve sees only that it leaves the range:
these are the levels to say so at. Tables, a curve -> negligible -> figures/noise_levels.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from .diagnosis import ALPHA, RULES, Rule, judged
from .quantities import Curve
from .tables import Tables, each


def negligible(tables: Tables, curve: Curve, alpha: float = ALPHA) -> pd.DataFrame:
    """The levels where some model surely leaves the healthy range, and none of those by a size that is told.

    Columns: level, sigma, size (the largest of these models'); empty for a curve without a rule. Corrected for all
    looks at a model as its diagnosis is.
    """
    if curve.rule is None:
        return NONE
    curves = tables.curves
    model, probe, quantity, part = (curves[name].to_numpy(object) for name in ("model", "probe", "quantity", "slice"))
    looks = np.sum([(probe == one.probe) & (quantity == one.quantity) for one in RULES], axis=0)
    slim = curves[["level", "sigma", "value", "error", "freedom"]].assign(quantity=quantity)
    parts = [NONE]
    for row in each(tables.models):
        own = model == row.label
        beside = own & (probe == curve.probe) & (part == curve.slice)
        rows = slim[beside & (quantity == curve.quantity)]
        if len(rows):
            errors = tables.levels[tables.levels["model"] == row.label].set_index("level")["error"]
            spread = row.data_spread if pd.notna(row.data_spread) else 1.0
            rule, share = replace(curve.rule, least=0.0), alpha / looks[own].sum()
            found = judged(rule, rows, slim[beside], errors, spread or 1.0, share)
            parts.append(found.loc[found["side"] != 0, ["level", "sigma", "size"]])
    largest = (
        pd.concat(parts, ignore_index=True).groupby("level", as_index=False).agg({"sigma": "first", "size": "max"})
    )
    return largest[largest["size"] < curve.rule.least].reset_index(drop=True)


NONE = pd.DataFrame({"level": np.array([], int), "sigma": np.array([], float), "size": np.array([], float)})


def told_least(rule: Rule) -> str:
    """The least size that is told, in words."""
    if rule.share is None:
        return f"it is less than {rule.least:g} from what is healthy"
    return f"it moves samples by less than {100 * rule.least:.2g}% of the data's spread per e-fold of σ"
