"""A sequential gate's part in the reports: which margin a policy sets at each level, and the comparison of a last look.

policy -> margins -> evals.sequential.search -> looks -> decide_look -> Decision, the same as any gate's.
"""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pandas as pd
from torch import Tensor

from ..errors import ConfigError
from ..evals.records import TABLES
from ..evals.sequential import Look
from ..metrics.intervals import Floats
from .compare import Comparison, compare_metrics, find_bands, level_table
from .decide import Decision
from .gate import judge
from .policy import DENOISING_ERROR, Policy
from .report import Report
from .tables import Tables


def margins(policy: Policy, sigmas: Tensor) -> Floats:
    """The strictest margin of the log ratio at each level, NaN where no rule looks.

    Raises ConfigError for rules that can't be judged look by look, and where no level is in any rule's band.
    """
    found = np.full(len(sigmas), np.inf)
    levels = sigmas.numpy()
    for rule in policy.gate:
        if rule.metric != DENOISING_ERROR or rule.slices or rule.margin is None or rule.margin.rel is None:
            raise ConfigError(
                "gate --sequential: expected rules of metric denoising_error, noninferior, with a relative margin and "
                f"no slices, got metric {rule.metric!r}, {rule.rule}"
            )
        for low, high in rule.bands or ((0.0, math.inf),):
            inside = (levels >= low) & (levels <= high)
            found[inside] = np.minimum(found[inside], math.log1p(rule.margin.rel))
    if np.isinf(found).all():
        reach = f"{levels.min():.3g} to {levels.max():.3g}"
        raise ConfigError(f"gate --sequential: expected a band with a noise level, those of both models are {reach}")
    return np.where(np.isinf(found), np.nan, found)


def decide_look(policy: Policy, look: Look, sigmas: Tensor, baseline: str, candidate: str) -> Decision:
    """The verdict of the last look. No run is kept: there are no figures to make of it."""
    settings, levels = policy.settings(), np.flatnonzero(~np.isnan(margins(policy, sigmas)))
    asked = ~np.isnan(look.baseline).all(axis=1)
    grid = pd.Series(sigmas.numpy()[levels], index=pd.Index(levels, name="level"))
    table = level_table(grid, look.baseline[asked], look.candidate[asked], settings, look.paired)
    held = [field.name for field in fields(Tables) if field.name in TABLES]
    empty = {name: pd.DataFrame(columns=list(TABLES[name])) for name in held}
    metrics = compare_metrics(empty["metrics"], baseline, candidate)
    comparison = Comparison(baseline, candidate, settings, table, find_bands(table, candidate), metrics)
    verdict = judge(policy, [comparison])
    models = pd.DataFrame({"label": [baseline, candidate], "name": [baseline, candidate], "source": 0})
    report = Report((), Tables(baseline, models, **empty), (comparison,), (), ())
    return Decision(report, verdict)
