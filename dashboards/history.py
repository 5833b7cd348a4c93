"""A metric over the newest runs of the folder and their commits, with the places where it changed for sure."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from ..errors import StoreError
from ..evals.store import Run
from ..reports.figures.history import history as drawn
from ..reports.figures.history import quantity
from ..reports.history import LEAST, Reading, Series, joined, readings
from ..reports.numbers import number
from ..reports.policy import DENOISING_ERROR
from ..reports.tables import cell_titles, metric_names
from .downloads import offer
from .one_run import mean_over, one_run
from .view import View, go_to, plain, show
from .ways import lead

FIGURE = "history-figure"
ALL = "all models"
NEWEST = (50, 200, 1000)
"""How many comparable runs may be looked at; no other is opened."""


def history(view: View) -> None:
    """Widgets, figure, and the ways from a point of it."""
    report = view.report
    measured = [DENOISING_ERROR] if len(report.tables.levels) else []
    names = [*measured, *metric_names(report.tables)]
    if not names:
        st.info("This run has neither noise levels nor metrics to follow. Choose another one in the sidebar.")
        return
    places = st.columns([2, 1.5, 2.5, 1])
    metric = places[0].selectbox("Metric", names, key="follow", bind="query-params", format_func=_said)
    model = places[1].selectbox("Model", [ALL, *report.tables.labels], key="followed", bind="query-params")
    with places[2]:
        band = _band(view) if metric == DENOISING_ERROR else None
        setting = _setting(view, metric) if metric != DENOISING_ERROR else ""
    newest = places[3].selectbox("Newest runs", NEWEST, key="newest", bind="query-params")
    runs, others = _comparable(view)
    found = [
        one
        for run in runs[:newest]
        for one in _readings(run.digest, str(run.folder), metric, band)
        if model in (ALL, one.model) and setting in ("", one.setting)
    ]
    series, told = joined(found, metric), f"{others:,} runs of this folder can't be compared with {view.run.id}."
    over = mean_over(view, series, band is None)
    if len({one.point.run for one in found}) == 1:
        one_run(view, series, quantity(metric), " ".join([over, *[told][: bool(others)]]))
        return
    figure = drawn(series, colours=report.colours(), chosen=view.run.id)
    show(figure, FIGURE, on_select=_clicked, selection_mode="points")
    st.caption(_explained(series, over))
    if others:
        st.caption(plain(told))
    _point(view, series)
    asked = (metric, "" if model == ALL else str(model), band, newest)
    offer(view, "history", figure, partial(_table, series), _python(view, *asked), _command(view, *asked))


def _comparable(view: View) -> tuple[list[Run], int]:
    """The complete runs that share the chosen one's fingerprint, newest first, and how many don't; none is opened."""
    known = view.index.runs
    complete = known[known["status"] == "complete"]
    protocol = known.loc[known["id"] == view.run.id, "protocol"]
    same = complete[complete["protocol"].isin(protocol)]
    return [Run(view.root / folder) for folder in same["folder"]], len(complete) - len(same)


@st.cache_resource(max_entries=20_000, show_spinner="Reading runs")  # type: ignore[untyped-decorator]
def _readings(digest: str, folder: str, metric: str, band: tuple[float, float] | None) -> list[Reading]:
    """Read once per content of a run; one that can't be read says nothing."""
    try:
        return readings(Run(Path(folder)), metric, band)
    except StoreError:
        return []


def _band(view: View) -> tuple[float, float] | None:
    """Noise levels of the error: all of them, or from one to another."""
    # twelve digits: models' own schedules round one level differently in the last ones
    sigmas = sorted({float(f"{sigma:.12g}") for sigma in view.report.tables.levels["sigma"]})
    if len(sigmas) < 2:
        return None
    low, high = st.select_slider(
        "Noise levels, sigma", sigmas, value=(sigmas[0], sigmas[-1]), key="band", bind="query-params",
        format_func=lambda one: number(one, 3),
    )  # fmt: skip
    return None if (low, high) == (sigmas[0], sigmas[-1]) else (low, high)


def _setting(view: View, metric: str) -> str:
    table = view.report.tables.metrics
    rows = table[table["metric"] == metric].sort_values(["sampler", "evaluations"], kind="stable")
    titles = list(dict.fromkeys(cell_titles(rows)))
    return str(
        st.selectbox("Sampler setting", titles, index=len(titles) - 1, key="history_setting", bind="query-params")
    )


def _clicked() -> None:
    """A click on a point chooses its run."""
    for point in st.session_state[FIGURE].selection.points:
        if len(point.get("customdata", ())) == 1:
            st.session_state["run"] = str(point["customdata"][0])
            return


def _point(view: View, series: list[Series]) -> None:
    """The chosen run and the one before it."""
    own = next((one for one in series if view.run.id in [point.run for point in one.points]), None)
    if own is None:
        return
    place = [point.run for point in own.points].index(view.run.id)
    commit = own.points[place].commit
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(view.run.id)}**" + (f" at {plain(commit[:12] + commit[40:])}" if commit else ""))
        go_to(view, "noise-levels", "Noise levels")
        go_to(view, "run", "Run")
        if place:
            lead(view, "compare", "Compare with the run before", run=own.points[place - 1].run, **{"with": view.run.id})


def _explained(series: list[Series], over: str) -> str:
    """What a reader must know of means, intervals and changes."""
    changes = sum(len(one.changes) for one in series)
    longest = max((len(one.points) for one in series), default=0)
    few = f" It takes about 8 comparable runs to find one; here are {longest}." if longest < 4 * LEAST else ""
    said = (
        f"{changes or 'no'} change{'' if changes == 1 else 's'} found at 5%"
        if longest >= 2 * LEAST
        else "no change looked for"
    )
    return plain(
        f"{over} {said[:1].upper() + said[1:]}.{few} A point is a run with its 95% interval; runs on the same images "
        "and seeds move together, so smaller differences can be changes. Click one to choose its run."
    )


def _python(view: View, metric: str, model: str, band: tuple[float, float] | None, newest: int) -> str:
    return (
        "from sigmascope import Store\nfrom sigmascope.reports.figures.history import history\n"
        "from sigmascope.reports.history import follow\n\n"
        f"runs = [run for run in Store({str(view.root)!r}).runs()[:{newest}] if run.record.status == 'complete']\n"
        f"history(follow(runs, {metric!r}, {model!r}, {band!r})).show()"
    )


def _command(view: View, metric: str, model: str, band: tuple[float, float] | None, newest: int) -> str:
    flags = f" --model {shlex.quote(model)}" if model else ""
    flags += f" --sigma {band[0]!r}-{band[1]!r}" if band else ""
    return f"sigmascope history {shlex.quote(metric)}{flags} --last {newest} --runs {shlex.quote(str(view.root))}"


def _said(metric: str) -> str:
    return metric.replace("_", " ") if metric == DENOISING_ERROR else metric


def _table(series: list[Series]) -> pd.DataFrame:
    columns = ["model", "setting", "run", "created", "commit", "value", "low", "high", "change"]
    rows = [
        (one.model, one.setting, *vars(point).values(), index in {change.index for change in one.changes})
        for one in series
        for index, point in enumerate(one.points)
    ]
    return pd.DataFrame(rows, columns=columns)
