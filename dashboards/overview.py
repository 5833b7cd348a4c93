"""Which model is worse, by how much, can the run be trusted, and how do others compare? Findings first, then runs."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from ..reports import tables
from . import leaderboard, runs
from .downloads import offer
from .view import View, findings, plain, show

TOLD = 3
"""Folders that can't be read, before they are only counted."""


def page(view: View) -> None:
    report = view.report
    for condition in report.conditions:
        st.warning(plain(condition))
    _unreadable(view.index.problems)
    findings(report)
    figure = report.overview(view.theme)
    show(figure, "overview-figure")
    offer(view, "overview", figure, partial(tables.overview, report.tables, report.comparisons), "overview()")
    parts = {"Runs": runs.page, "Leaderboard": leaderboard.page, "Models": _models, "What ran": _cells}
    tabs = st.tabs(list(parts), key="look", on_change="rerun", bind="query-params")
    for tab, draw in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                draw(view)


def _unreadable(problems: list[str]) -> None:
    for problem in problems[:TOLD]:
        st.warning(plain(problem))
    if len(problems) > TOLD:
        st.warning(f"{len(problems) - TOLD:,} more folders can't be read: under Runs they are listed.")


def _models(view: View) -> None:
    columns = ["label", "parameterization", "schedule", "parameters", "sigma_min", "sigma_max", "spec"]
    st.dataframe(view.report.tables.models[columns].rename(columns={"label": "model"}), hide_index=True)


def _cells(view: View) -> None:
    rows = [
        {
            "cell": cell.title, "model": cell.model, "result": cell.error or "done", "evaluations": cell.evaluations,
            "seconds": round(cell.seconds, 1),
        }
        for cell in view.run.record.cells
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(rows, columns=["cell", "model", "result", "evaluations", "seconds"]), hide_index=True)
