"""What figures of samplers draw, for machines: parts of `ReportDocument`, made for machine.py.

Report.steps, filmed, solver_answers, sides, cheapest -> of_model, cheapest_settings -> machine.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pandas as pd

from ..errors import DataError
from . import tables as frames
from .cheapest import SETTING, Answer, by_model
from .document import PathsDocument, StepsDocument
from .flow_or_diffusion import sides
from .report import Report

OWN = SETTING[1:]
"""What makes a setting of one model's."""
QUANTITY = [*OWN, "probe", "quantity", "slice"]
DRAWN = [name for name in StepsDocument.model_fields if name not in QUANTITY]
BENDS = ["begin", "end", "density"]


def of_model(report: Report, row: Any) -> dict[str, Any]:
    """The fields of `ModelDocument` that tell of one model's samplers; row: one of `Tables.models`."""
    steps, film = (table[table["model"] == row.label] for table in (report.steps, report.filmed))
    return {
        "steps": [
            {**dict(zip(QUANTITY, key, strict=True)), **{name: rows[name].tolist() for name in DRAWN}}
            for key, rows in steps.sort_values("index", kind="stable").groupby(QUANTITY, sort=False)
        ],
        "film": list(_films(film)),
        "model_or_solver": list(_answers(report, row.label)),
        "paths": _paths(report, row),
    }


def _films(film: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for key, rows in film.groupby(OWN, sort=False):
        frame = rows.drop_duplicates("index").sort_values("index")
        yield {
            **dict(zip(OWN, key, strict=True)), "samples": sorted(set(rows["sample"].tolist())),
            "index": frame["index"].tolist(), "sigma": frame["sigma"].tolist(),
        }  # fmt: skip


def _answers(report: Report, model: str) -> Iterator[dict[str, Any]]:
    for one in report.solver_answers:
        if one.setting["model"] == model:
            yield {
                **{name: one.setting[name] for name in OWN}, "larger": one.culprit, "model": one.model,
                "sampler_steps": one.solver, "low": one.solver_low, "high": one.solver_high,
                **{name: one.levels[name].tolist() for name in ("sigma", "size", "because")},
            }  # fmt: skip


def _paths(report: Report, row: Any) -> dict[str, Any] | None:
    if not report.runs:  # a sequential gate keeps none
        return None
    with suppress(DataError):
        found = sides(report.runs[row.source])
        own, bends = (table[table["model"] == row.name] for table in (found.paths, found.bends))
        if len(own):
            told = own.iloc[0].to_dict()
            written = {name: told[name] for name in PathsDocument.model_fields if name in told}
            return {**written, **{name: bends[name].tolist() for name in BENDS}}
    return None


def cheapest_settings(report: Report) -> list[dict[str, Any]]:
    """`CheapestDocument`s: by each metric, of all models and, where they are several, of each."""
    found = []
    for metric in frames.metric_names(report.tables):
        table = report.settings(metric, "")
        answers = {"": report.cheapest(metric, "")}
        answers |= by_model(table, metric) if len(set(table["model"])) > 1 else {}
        found += [_cheapest(metric, model, one) for model, one in answers.items() if one is not None]
    return found


def _cheapest(metric: str, of: str, one: Answer) -> dict[str, Any]:
    kept = [*SETTING, "evaluations"]
    return {
        "metric": metric, "of": of, "pick": one.pick[kept].to_dict(), "best": one.best[kept].to_dict(),
        "sure": one.pick["verdict"], "not_ruled_out": one.rivals[kept].to_dict("records"),
    }  # fmt: skip
