"""The dashboard: a folder of runs -> the run chosen in the sidebar -> one of the pages.

    streamlit run dashboards/app.py -- RUNS        (or SIGMASCOPE_RUNS; `sigmascope view` does it)

Pages are widgets -> table -> figure; the figures are those of the HTML report. Choices live in the address, so that a
copied link shows the same picture. The pages lie beside this file: in a folder called `pages` Streamlit would take them
for pages of its own before `st.navigation` has run, and answer the first deep link with "page not found".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import plotly.io as pio
import streamlit as st

from ..reports.figures import grounds, style
from ..reports.figures.sketch import Sketch
from ..reports.report import Report
from . import view, ways, window


def _page(module: str) -> Callable[[view.View], None]:
    """A page's function; what it needs is imported when it is opened first."""

    def show(chosen: view.View) -> None:
        import_module(f".{module}", __package__).page(chosen)

    return show


PAGES = {
    "overview": ("Overview", _page("overview")),
    "noise-levels": ("Noise levels", _page("noise_levels")),
    "samplers": ("Samplers", _page("samplers")),
    "parameterizations": ("Parameterizations", _page("parameterizations")),
    "compare": ("Compare", _page("compare")),
    "samples": ("Samples", _page("samples")),
    "gates": ("Gates and history", _page("gates")),
    "run": ("Run", _page("run")),
}
SIDEBAR = 248
"""Pixels: the pictures need the rest."""
# Streamlit leaves a hand's breadth of air around everything; the pictures need it more.
pio.templates.default = None  # every figure brings its own; to copy the usual one first takes longer than most do
TRIM = """<style>
.stMainBlockContainer {padding: 4.2rem 2rem 2rem}
.stSidebar h1 {font-size: 1.3rem}
.finding {display: grid; grid-template-columns: 110px 1fr; padding: 5px 0; overflow-wrap: anywhere}
@media (max-width: 640px) {
    .stMainBlockContainer {padding: 4rem 1rem 2rem}
    .finding {grid-template-columns: 1fr; line-height: 1.35}
}
</style>"""
INKS = {
    "light": f"<style>{grounds.stylesheet('screen and (prefers-color-scheme: dark)')}</style>",
    "dark": f"<style>{grounds.stylesheet()}</style>",
}
"""By the theme when the script ran: a light page may become dark with the reader's whole screen."""


def main() -> None:
    """One run of the script: what Streamlit does at every interaction."""
    st.set_page_config(page_title="Sigmascope", page_icon="🔬", layout="wide", initial_sidebar_state=SIDEBAR)
    st.html(TRIM + window.STYLE + INKS[window.theme()])
    pages: dict[str, Any] = {}
    ways.arrive()
    chosen = replace(view.choose(runs_folder(sys.argv[1:], os.environ)), pages=pages)
    for path, (title, show) in PAGES.items():
        pages[path] = st.Page(partial(show, chosen), title=title, url_path=path, default=path == "overview")
    page = st.navigation(list(pages.values()), position="top")
    window.ask()
    if window.narrow():  # where the menu hides which page it is
        st.subheader(page.title)
    page.run()
    view.look_again(chosen.root)
    look_ahead(chosen.run.digest, chosen.report.tables.baseline, chosen.report)


@st.cache_resource(max_entries=8, show_spinner=False)  # type: ignore[untyped-decorator]
def look_ahead(run: str, baseline: str, _report: Report) -> None:
    """Once a page is drawn and its reader looks at it: make what most readers open next."""
    Thread(target=_ahead, args=(_report,), daemon=True).start()


def _ahead(report: Report) -> None:
    _rest()
    for page in ("noise_levels", "quality"):
        import_module(f"{__package__}.{page}").ahead(report)


@cache
def _rest() -> None:
    """What the other pages import, which takes half a second: their modules, what one figure takes of scipy, and what
    Plotly imports with a first curve, shade and click."""
    for path in PAGES:
        import_module(f"{__package__}.{path.replace('-', '_')}")
    import_module("scipy.optimize")
    sketch = Sketch()
    bars = {"type": "data", "array": [1]}
    sketch.add_scatter(x=[1], y=[1], line_width=1, marker_size=1, error_x=bars, error_y=bars, **style.CHOSEN)
    sketch.shade(0, 1, row=1, line_width=0)
    sketch.figure(template=style.template("light")).to_json()


def runs_folder(arguments: Sequence[str], environment: Mapping[str, str]) -> Path:
    """The folder of runs: the first argument after `--`, else SIGMASCOPE_RUNS, else ./runs."""
    return Path(arguments[0] if arguments else environment.get("SIGMASCOPE_RUNS") or "runs")
