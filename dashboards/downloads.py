"""Under every figure: take it along. Its table and picture as files, the lines that make it again, a link back."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from urllib.parse import urlencode

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ..reports.numbers import number
from ..reports.samples import SCORES
from .view import UNIT_NAMES, View

ADDRESS = {
    "run", "baseline", "unit", "sigma_data", "probe", "weights", "of", "level", "metric", "setting", "search", "sort",
    "sort_model", "worst_level", "show", "about", "with", "candidate", "gate", "verdict", "gated", "gates_page",
    "follow", "followed", "band", "history_setting", "newest",
    "look", "ranked_by", "runs_words", "runs_status", "runs_order", "runs_gate", "runs_model", "runs_data",
    "runs_since", "runs_until", "view", "samplers_of", "samples_of", "blamed", "walk", "by_step", "film_of",
    "film_sample", "sample", "part", "first", "image", "findings",
}  # fmt: skip
"""Keys of widgets bound to the address. What the browser's own address holds is only known after the next rerun."""


@st.fragment  # type: ignore[untyped-decorator]
def offer(
    view: View, name: str, figure: go.Figure, table: Callable[[], pd.DataFrame], made_by: str, command: str = ""
) -> None:
    """`made_by`: what stands after `report.` in Python, or whole lines; `command`: what makes it, if not `report`.

    Nothing is made before it is opened, and opening it draws it alone; tables and files are made once asked for.
    """
    with st.popover("Download", icon=":material/download:", key=f"{name}-offer", on_change="rerun") as opened:
        if not opened.open:
            return
        buttons = st.columns(5)
        kinds: list[tuple[str, str, str, Callable[[], bytes]]] = [
            ("CSV", "csv", "text/csv", lambda: table().to_csv(index=False).encode()),
            ("Parquet", "parquet", "application/vnd.apache.parquet", lambda: _parquet(table())),
            ("HTML", "html", "text/html", lambda: figure.to_html(include_plotlyjs=True).encode()),
        ]
        if find_spec("kaleido"):
            kinds += [
                (kind.upper(), kind, mime, partial(figure.to_image, format=kind, scale=2, width=1100))
                for kind, mime in (("svg", "image/svg+xml"), ("png", "image/png"))
            ]
        for place, (label, ending, mime, content) in zip(buttons, kinds, strict=False):
            file = f"{view.run.id}-{name}.{ending}"
            place.download_button(label, content, file, mime, key=f"{name}-{ending}", on_click="ignore")
        st.caption("PNG, as you see it: the camera in the figure's corner.")
        names = shlex.join(run.id for run in view.report.runs)
        report = f"sigmascope report {names} --runs {shlex.quote(str(view.root))} -o report.html"
        said = "as a table in a terminal" if command else "all of them as one file"
        st.caption(f"The same figure in Python, and {said}:")
        st.code(made_by if "\n" in made_by else python(view, made_by), language="python")
        st.code(command or report, language="bash")
        st.caption("This view:")
        st.code(link(view), language=None)


def python(view: View, made_by: str) -> str:
    """The lines that make a figure again, `made_by` standing after `report.`."""
    folders = [str(run.folder) for run in view.report.runs]
    runs = repr(folders[0] if len(folders) == 1 else folders)
    lines = ["from sigmascope import figures"]
    lines += ["from sigmascope.reports.quantities import Curve"] if "Curve(" in made_by else []
    lines += ["from sigmascope.reports.trajectories import Quantity"] if "Quantity(" in made_by else []
    lines += ["", f"report = figures.report({runs}, baseline={view.report.tables.baseline!r})"]
    lines.append(f"report.{made_by}.show()")
    return "\n".join(lines)


def link(view: View) -> str:
    """The address of this view, run and baseline named, so that a later run doesn't change what it shows."""
    chosen = {str(key): _written(view, str(key), value) for key, value in st.session_state.items() if in_address(key)}
    return f"{st.context.url or ''}?{urlencode({k: v for k, v in chosen.items() if v}, doseq=True)}"


def in_address(key: object) -> bool:
    """Whether a widget's choice stands in the address: those bound to it."""
    return str(key) in ADDRESS or str(key).startswith("slice_")


def _written(view: View, key: str, value: object) -> object:
    """A choice as its widget shows it, which is how the address has it."""
    if key in ("level", "worst_level"):
        levels = view.report.tables.levels
        return number(float(levels.loc[levels["level"] == value, "sigma"].iloc[0]), 3)
    names = {"unit": UNIT_NAMES, "sort": SCORES}.get(key, {})
    return names.get(str(value), value)


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()
