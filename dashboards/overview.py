"""Which model is worse, by how much, and whether the run can be trusted: findings, leaderboard, what ran."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from ..reports import tables
from .downloads import offer
from .view import View, findings, plain, show


def page(view: View) -> None:
    report = view.report
    for condition in report.conditions:
        st.warning(plain(condition))
    for problem in view.problems:
        st.warning(plain(problem))
    findings(report)
    figure = report.overview(view.theme)
    show(figure, "overview-figure")
    offer(view, "overview", figure, partial(tables.overview, report.tables, report.comparisons), "overview()")
    models, cells, runs = st.tabs(["Models", "What ran", "Runs in this folder"])
    columns = ["label", "parameterization", "schedule", "parameters", "sigma_min", "sigma_max", "spec"]
    models.dataframe(report.tables.models[columns].rename(columns={"label": "model"}), hide_index=True)
    cells.dataframe(_cells(view), hide_index=True)
    runs.dataframe(_runs(view), hide_index=True)


def _cells(view: View) -> pd.DataFrame:
    rows = [
        {
            "cell": cell.title, "model": cell.model, "result": cell.error or "done", "evaluations": cell.evaluations,
            "seconds": round(cell.seconds, 1),
        }
        for cell in view.run.record.cells
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["cell", "model", "result", "evaluations", "seconds"])


def _runs(view: View) -> pd.DataFrame:
    rows = [
        {"run": run.id, "status": run.record.status, "created": run.record.created, "models": len(run.record.models)}
        for run in view.runs
    ]
    return pd.DataFrame(rows)
