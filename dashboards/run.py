"""What is this run, can it be trusted, and what do its probes say is wrong? All it says of itself, findings first."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pandas as pd
import streamlit as st

from ..errors import SigmascopeError
from ..evals.journal import State, log, progress, state
from ..evals.store import Run
from ..reports.diagnosis import Diagnosis
from ..reports.figures.grounds import both
from ..reports.negligible import told_least
from ..reports.numbers import number
from ..reports.quantities import offered, told
from .downloads import offer
from .view import FOLLOWED, LIVE_SECONDS, View, go_to, how_far, plain, show, when

LINES = 200
"""Of the log, before one has to download it."""
SHOWN = 6
"""Findings, before the others are folded away."""


def page(view: View) -> None:
    record = view.run.record
    now = state(view.run)
    if now in ("interrupted", "failed"):
        st.warning(plain(f"Run {view.run.id} is {now}: what is missing here was not measured. {FOLLOWED[now]}"))
    _numbers(view, now)
    if now == "running":
        _at_work(view.run.folder)
    _failures(view)
    _findings(view)
    cells, told, models, config, same, may = st.tabs(
        ["Cells", "Log", "Models", "Config", "Fingerprint", "Environment"], key="about", bind="query-params"
    )
    _cells(view, cells)
    with told:
        _log(view.run)
    models.dataframe(pd.DataFrame([_flat(model.model_dump()) for model in record.models]), hide_index=True)
    config.json(json.dumps(record.suite), expanded=2)
    same.caption("What two runs must share to be compared.")
    same.dataframe(_fields(record.fingerprint), hide_index=True)
    may.caption("What may differ, and is told when it does.")
    may.dataframe(_fields(record.environment), hide_index=True)


def _numbers(view: View, now: State) -> None:
    """The run at a glance."""
    record = view.run.record
    failed = sum(cell.error is not None for cell in record.cells)
    of = f" of {len(record.cells) + len(record.pending)}" if record.pending else ""
    shown = {
        "status": now,
        "cells": f"{len(record.cells)}{of}" + (f", {failed} failed" if failed else ""),
        "network evaluations": f"{sum(cell.evaluations for cell in record.cells):,}",
        "computing": _duration(record.seconds),
        "created": when(view.run),
        "schema": str(record.schema_version),
    }
    places = [
        f"<span><small style='opacity:.65'>{label}</small><br><b>{html.escape(value)}</b></span>"
        for label, value in shown.items()
    ]
    st.html(f"<div style='display:flex;flex-wrap:wrap;gap:6px 36px'>{''.join(places)}</div>")


@st.fragment(run_every=LIVE_SECONDS)  # type: ignore[untyped-decorator]
def _at_work(folder: Path) -> None:
    """What a session is doing, drawn again by itself; the sidebar draws the whole page when a cell is done."""
    run = Run(folder)
    try:
        at, (share, cells) = progress(run), how_far(run, "running")
    except (OSError, SigmascopeError):
        return  # it has just finished
    if at is None:
        st.progress(share, f"{cells}; starting")
        return
    rate = "" if at.rate is None else f" · {at.rate:,.0f} network evaluations/s"
    left = "" if at.left is None else f" · about {_duration(at.left)} left"
    st.progress(share, f"{cells}, {100 * share:.0f}% of {at.total:,} network evaluations{rate}{left}")
    st.caption(f"Now: {plain(at.title)}")


def _failures(view: View) -> None:
    """Why a cell has no result, in full."""
    for cell in view.run.record.cells:
        if cell.error is not None:
            with st.expander(plain(f"Failed: {cell.title}"), expanded=True, icon=":material/error:"):
                st.code(cell.error, language=None, wrap_lines=True)


def _log(run: Run) -> None:
    """The end of what its sessions said, and all of it as a file."""
    said = log(run)
    if not said:
        st.info("This run kept no log: it was made before runs did, or no session has begun.")
        return
    lines = said.splitlines()
    if len(lines) > LINES:
        st.caption(f"The last {LINES} of {len(lines):,} lines; times are UTC.")
    st.code("\n".join(lines[-LINES:]), language=None)
    st.download_button("Download the log", said, f"{run.id}-log.txt", "text/plain", on_click="ignore")


def _findings(view: View) -> None:
    """What `sigmascope diagnose` says, worst first, each with a way to its curve; under them the curves."""
    st.subheader("What is wrong, at which noise level")
    found = view.report.diagnoses
    if not offered(view.report.tables):
        st.info('There are no curves of probes here. A suite asks for them with `[probes] use = ["default"]`.')
        return
    if not found:
        st.success("No finding: every probed quantity lies where a healthy denoiser's would, as far as images tell.")
        return
    _listed(view, found[:SHOWN])
    if len(found) > SHOWN:
        with st.expander(f"{len(found) - SHOWN} more"):
            _listed(view, found[SHOWN:])
    curves = told(found)[:3]
    figure = view.report.probes(curves)
    show(figure, "diagnosis-figure")
    small = [
        f"{curve.name}, {told_least(curve.rule)}"
        for curve in curves if curve.rule is not None and len(view.report.negligible(curve))
    ]  # fmt: skip
    if small:
        st.caption(
            plain(f"Grey: surely not a perfect denoiser's, but below a finding's threshold. {'; '.join(small)}.")
        )
    offer(view, "diagnosis", figure, lambda: pd.DataFrame([_row(one) for one in found]), f"probes({curves!r})")


def _listed(view: View, found: tuple[Diagnosis, ...]) -> None:
    for one in found:
        words, way = st.columns([6, 1], vertical_alignment="center")
        colour = both(view.report.colours()[one.model])
        words.html(
            f'<div style="border-left:4px solid {colour};padding-left:10px;line-height:1.35;overflow-wrap:anywhere">'
            f"{html.escape(one.text)}<br><small style='opacity:.7'>Possible cause: {html.escape(one.rule.cause)}"
            f"{html.escape('; ' + one.consequence) if one.consequence else ''}</small></div>"
        )
        with way:
            _way(view, one)


def _way(view: View, one: Diagnosis) -> None:
    levels = view.report.tables.levels
    sigma = levels.loc[levels["level"].isin(one.levels), "sigma"]
    nearest = float(sigma.iloc[(sigma - one.sigma).abs().argmin()]) if len(sigma) else one.sigma
    go_to(view, "noise-levels", "See it", of=one.model, level=number(nearest, 3), probe=told([one])[0].name)


def _row(one: Diagnosis) -> dict[str, object]:
    keys = ("model", "slice", "sigma_low", "sigma_high", "sigma", "value", "low", "high", "size", "text")
    own = {key: getattr(one, key) for key in keys}
    return {"probe": one.rule.probe, "quantity": one.rule.quantity, **own, "cause": one.rule.cause}


def _cells(view: View, place: st.delta_generator.DeltaGenerator) -> None:
    rows = [
        {
            "model": cell.model, "cell": cell.title, "result": cell.error or "done", "seconds": cell.seconds,
            "evaluations": cell.evaluations, "kind": cell.kind, "key": cell.key,
        }
        for cell in view.run.record.cells
    ]  # fmt: skip
    rows += [
        {
            "model": cell.model, "cell": cell.title, "result": "to do", "seconds": None,
            "evaluations": cell.evaluations, "kind": cell.kind, "key": cell.key,
        }
        for cell in view.run.record.pending
    ]  # fmt: skip
    if not rows:
        place.info("No cell has finished yet.")
        return
    table = pd.DataFrame(rows)
    longest = max((cell.seconds for cell in view.run.record.cells), default=1e-9)
    columns = {"seconds": st.column_config.ProgressColumn("seconds", format="%.1f", min_value=0, max_value=longest)}
    place.dataframe(table, hide_index=True, column_config=columns)


def _fields(mapping: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(list(mapping.items()), columns=["field", "value"]).astype(str)


def _flat(record: dict[str, object]) -> dict[str, object]:
    """One row of a table: tuples as text."""
    return {name: str(value) if isinstance(value, tuple) else value for name, value in record.items()}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
