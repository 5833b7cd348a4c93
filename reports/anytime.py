"""A sequential gate's part in the reports: which margin a policy sets at each level, and the comparison of a last look.

policy -> margins -> evals.sequential.search -> looks -> decide_look -> Decision, the same as any gate's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pandas as pd
from torch import Tensor

from ..errors import ConfigError
from ..evals.probes import Subject, denoising_error
from ..evals.probes.adaptive import order_of
from ..evals.records import TABLES
from ..evals.runner import model_record
from ..evals.sequential import Look
from ..metrics.intervals import Floats
from .compare import Comparison, find_bands, level_table
from .compare_metrics import compare_metrics
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


def decide_look(policy: Policy, look: Look, subjects: Mapping[str, Subject]) -> Decision:
    """The verdict of the last look, and a report on what was asked. No run is kept: there are no images in it.

    subjects: baseline and candidate, by name.
    """
    (baseline, first), (candidate, _) = subjects.items()
    sigmas = first.sigmas
    settings, levels = policy.settings(), np.flatnonzero(~np.isnan(margins(policy, sigmas)))
    asked = ~np.isnan(look.baseline).all(axis=1)
    grid = pd.Series(sigmas.numpy()[levels], index=pd.Index(levels, name="level"))
    table = level_table(grid, look.baseline[asked], look.candidate[asked], settings, look.paired)
    tables = _tables(look, subjects, levels)
    metrics = compare_metrics(tables.metrics, baseline, candidate)
    comparison = Comparison(baseline, candidate, settings, table, find_bands(table, candidate), metrics)
    verdict = judge(policy, [comparison])
    said = (
        f"A sequential gate: {look.evaluations:,} network evaluations of both models, of which no run is kept. "
        "Its intervals hold however often one looks."
    )
    return Decision(Report((), tables, (comparison,), (), (said,)), verdict)


def _tables(look: Look, subjects: Mapping[str, Subject], levels: np.ndarray) -> Tables:
    """What a run of the same evaluations would hold, the mean over an image's draws standing as one of them."""
    names = list(subjects)
    models = pd.DataFrame(
        [
            {"label": name, "run": "", "source": 0, **model_record(name, one.denoiser, one).model_dump()}
            for name, one in subjects.items()
        ]
    )
    held = [field.name for field in fields(Tables) if field.name in TABLES]
    tables = {name: pd.DataFrame(columns=list(TABLES[name])) for name in held}
    made = [
        _rows(name, subject, errors, levels)
        for (name, subject), errors in zip(subjects.items(), (look.baseline, look.candidate), strict=True)
    ]
    tables["evaluations"], tables["levels"] = (pd.concat(parts, ignore_index=True) for parts in zip(*made, strict=True))
    return Tables(names[0], models, **tables)


def _rows(name: str, subject: Subject, errors: Floats, levels: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One model's rows of tables `evaluations` and `levels`."""
    place, column = np.nonzero(~np.isnan(errors))
    image = order_of(len(errors), subject.noise).numpy()[place]
    evaluations = pd.DataFrame(
        {
            "model": name, "level": levels[column], "sigma": subject.sigmas.numpy()[levels[column]], "image": image,
            "label": -1, "draw": 0, "error": errors[place, column],
        }
    )  # fmt: skip
    means = denoising_error.levels(evaluations, subject.denoiser, subject.sigmas[levels], adaptive=True)
    return evaluations, means.assign(level=levels)
