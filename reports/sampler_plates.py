"""The report's figures of samplers: quality for its cost, then, where a run looked, at which step and on what way."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pandas as pd

from ..errors import DataError
from .cheapest import against
from .flow_or_diffusion import sides
from .plates import Plate, Section, slug
from .regression import lost
from .report import Report
from .summary import worst_pair
from .tables import cell_title, metric_names
from .trajectories import of_setting, offered_steps, settings


def samplers(report: Report) -> Section:
    note = (
        "Quality of the samples for what they cost. A sampler's score does not say where an error comes from: the "
        "noise levels do."
    )
    parts = (_quality, _model_or_solver, _steps, _film, _flow_or_diffusion)
    return Section("samplers", "Samplers", note, tuple(plate for part in parts for plate in part(report)))


def _quality(report: Report) -> list[Plate]:
    found = []
    names = metric_names(report.tables)
    answers = {metric: report.cheapest(metric, "") for metric in names}
    for metric, answer in answers.items():
        others = [one for name, one in answers.items() if name != metric and one]
        apart = [told for told, contrary in (against(answer, one) for one in others) if contrary] if answer else []
        said = " ".join([answer.text, *apart]) if answer else ""
        found.append(Plate(f"samplers-{slug(metric)}", partial(report.samplers, metric), metric, said))
    return found


def _model_or_solver(report: Report) -> list[Plate]:
    chosen = blamed(report)
    if chosen is None:
        return []
    said = lost(report.solver_answers, chosen[0][0], report.tables.baseline)
    note = (
        "Both errors in one unit: how far they move samples, in the data's spread, if those along the way add up. The "
        "model's is what probes prove to be avoidable, so at least that. Areas add up to the totals over each panel."
    )
    return [
        Plate(
            "model-or-solver",
            partial(report.model_or_solver, *chosen),
            "Model or sampler?",
            " ".join((*filter(None, said), note)),
        )
    ]


def blamed(report: Report) -> tuple[list[str], list[str]] | None:
    """The worst model, with its baseline, and the settings whose steps err least and most; None where none is known.

    What `Report.model_or_solver` takes.
    """
    answers = report.solver_answers
    if not answers:
        return None
    pair, known = worst_pair(report), list(dict.fromkeys(str(one.setting["model"]) for one in answers))
    models = [one for one in ((pair.candidate, pair.baseline) if pair else ()) if one in known] or known[:1]
    own = sorted((one for one in answers if one.setting["model"] == models[0]), key=lambda one: one.solver)
    return models, list(dict.fromkeys((own[0].steps, own[-1].steps)))


def finest(rows: pd.DataFrame) -> dict[str, Any]:
    """The setting of most steps, of tables `steps` and `film`: what `Report.along` and `Report.film` take."""
    return {str(name): value for name, value in settings(rows).iloc[-1].items()}


def _steps(report: Report) -> list[Plate]:
    """What is lost in each step of the finest setting, and numbers of whole walks."""
    if report.steps.empty:
        return []
    setting = finest(report.steps)
    offered = offered_steps(of_setting(report.steps, setting), whole=False)
    whole = offered_steps(report.steps, whole=True)
    found = []
    for one in offered[:1]:
        title = f"{one.name}, step by step: {cell_title(setting)}"
        found.append(Plate("steps", partial(report.along, setting, one), title, one.meaning))
    if whole:
        found.append(Plate("walks", partial(report.walks, whole), "Over the whole way"))
    return found


def _film(report: Report) -> list[Plate]:
    if report.filmed.empty:
        return []
    setting = finest(report.filmed)
    sample = int(of_setting(report.filmed, setting)["sample"].min())
    note = (
        "From noise to the sample, all models from the same noise: the state, scaled to be seen, and under it the "
        "network's prediction of the clean image."
    )
    title = f"Sample {sample} on its way: {cell_title(setting)}"
    return [Plate("film", partial(report.film, setting, sample), title, note)]


def _flow_or_diffusion(report: Report) -> list[Plate]:
    """Where the paths of the first run's models were measured."""
    metric = next(iter(metric_names(report.tables)), "")
    if not report.runs:
        return []
    with suppress(DataError):
        said = sides(report.runs[0], metric).text
        figure = partial(report.flow_or_diffusion, metric)
        return [Plate("flow-or-diffusion", figure, "Flow matching beside diffusion", said)]
    return []
