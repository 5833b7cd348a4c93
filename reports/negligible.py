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

    Columns: level, sigma, size (the largest of these models'); empty for a curve without a rule.
    """
    parts = [_outside(tables, row, curve, alpha) for row in each(tables.models)] if curve.rule else []
    outside = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["level", "sigma", "size"])
    largest = outside.groupby("level", as_index=False).agg({"sigma": "first", "size": "max"})
    return largest[largest["size"].astype(float) < (curve.rule.least if curve.rule else 0.0)].reset_index(drop=True)


def _outside(tables: Tables, model: object, curve: Curve, alpha: float) -> pd.DataFrame:
    """Level, sigma and size where one model leaves the range; corrected for all looks as its diagnosis is."""
    rule = curve.rule
    assert rule is not None
    label, spread = str(model.label), model.data_spread  # type: ignore[attr-defined]
    own = tables.curves[tables.curves["model"] == label]
    probe, quantity = (own[name].to_numpy(object) for name in ("probe", "quantity"))
    looks = sum(int(((probe == one.probe) & (quantity == one.quantity)).sum()) for one in RULES)
    beside = own[(own["probe"] == curve.probe) & (own["slice"] == curve.slice)]
    rows = beside[beside["quantity"] == curve.quantity]
    if rows.empty:
        return pd.DataFrame(columns=["level", "sigma", "size"])
    errors = tables.levels[tables.levels["model"] == label].set_index("level")["error"]
    known = 1.0 if spread is None or np.isnan(spread) else float(spread)
    found = judged(replace(rule, least=0.0), rows, beside, errors, known or 1.0, alpha / looks)
    return found.loc[found["side"] != 0, ["level", "sigma", "size"]]


def told_least(rule: Rule) -> str:
    """The least size that is told, in words."""
    if rule.share is None:
        return f"it is less than {rule.least:g} from what is healthy"
    return f"it moves samples by less than {100 * rule.least:.2g}% of the data's spread per e-fold of σ"
