"""Which model is worse, by how much, can the run be trusted, and how do others compare? A line per model, then runs."""

from __future__ import annotations

import html
from functools import partial

import pandas as pd
import streamlit as st

from ..reports import tables
from ..reports.figures import style
from ..reports.figures.grounds import both
from ..reports.summary import Standing, standings
from . import leaderboard, runs
from .downloads import offer
from .view import View, at_level, findings, go_to, plain, show, tabs

TOLD = 3
"""Folders that can't be read, before they are only counted."""
LINES = 8
"""Models, before the others are folded away."""


def page(view: View) -> None:
    report = view.report
    for condition in report.conditions:
        st.warning(plain(condition))
    _unreadable(view.index.problems)
    _standings(view)
    findings(report)
    figure = report.overview()
    show(figure, "overview-figure")
    offer(view, "overview", figure, partial(tables.overview, report.tables, report.comparisons), "overview()")
    parts = {"Runs": runs.page, "Leaderboard": leaderboard.page, "Models": _models, "What ran": _cells}
    tabs(view, parts, "look")


def _standings(view: View) -> None:
    """Every model against the baseline in a line, worst first, with a way to the level where it is most so."""
    found = standings(view.report)
    for one in found[:LINES]:
        _line(view, one)
    if any(one.level is not None for one in found):
        st.caption("The denoising error is the model's own: no sampler takes part in it.")
    if len(found) > LINES:
        with st.expander(f"{len(found) - LINES} more models"):
            for one in found[LINES:]:
                _line(view, one)


def _line(view: View, one: Standing) -> None:
    """Only what is plainly worse stands in red."""
    words, way = st.columns([9, 1], vertical_alignment="center")
    chip = both(view.report.colours().get(one.model, "transparent"))
    note = f"<br><small style='opacity:.7'>{html.escape(one.note)}</small>" if one.note else ""
    words.html(
        f'<div style="border-left:4px solid {chip};padding-left:10px;line-height:1.35;overflow-wrap:anywhere">'
        f'<b>{html.escape(one.model)}</b> — <b style="color:{both(style.verdict(one.word))}">{one.word}</b>: '
        f"{html.escape(one.text)}{note}</div>"
    )
    if one.level is not None:
        with way:
            go_to(view, "noise-levels", "See it", **at_level(view, one.model, one.level))


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
