"""What all pages share: the run and baseline chosen in the sidebar, the report made of them, how a figure is shown."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Thread
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ..errors import SigmascopeError
from ..evals.index import Index
from ..evals.journal import State, progress, state
from ..evals.store import Run, Store
from ..reports.figures import style
from ..reports.figures.grounds import both
from ..reports.numbers import number
from ..reports.report import Report, compared
from ..reports.tables import Tables, cell_titles, collect, rebased, sample_settings
from . import window

CONFIG = {"displaylogo": False, "modeBarButtons": [["toImage"]]}
"""The camera alone: more tools would hide the legend and titles under them. Drag to zoom, double-click to undo."""
UNIT_NAMES = {"x0": "image x₀", "eps": "noise ε", "v": "v", "flow": "flow velocity", "F": "EDM's F"}
RECENT = 100
"""Runs in the sidebar: a box of thousands is sent anew whenever anything changes."""
MANY = 1000
"""New runs that take seconds to read."""
PATIENCE = 10.0
"""Seconds after which all finished runs are asked again whether someone wrote them anew, once a page is drawn."""
LIVE_SECONDS = 2
"""How often a run in progress is looked at."""
FOLLOWED: dict[State, str] = {
    "running": "This page follows it: curves grow with every cell.",
    "interrupted": "No session is at work on it. The command that began it goes on where it stopped.",
    "failed": "Some of its cells failed. The command that began it tries those again.",
    "complete": "",
}
"""What an unfinished run's reader can expect."""


@dataclass(frozen=True)
class View:
    """One run as chosen in the sidebar."""

    root: Path
    index: Index
    """What is told of every run of the folder, without opening it."""
    run: Run
    report: Report
    pages: Mapping[str, Any] = field(default_factory=dict)
    """Streamlit's own objects of the pages, by path: what a link leads to."""

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All of the folder, newest first."""
        return tuple(Run(self.root / folder) for folder in self.index.folders.values())

    def of(self, report: Report) -> View:
        """The same view with another report."""
        return replace(self, report=report)


def choose(root: Path) -> View:
    """Draw the sidebar and read what is chosen. An empty folder or an unreadable run ends the script, told."""
    place = st.empty()
    with st.spinner("Reading the runs that are new here"):
        index = Store(root).index(partial(_reading, place), math.inf)
    place.empty()
    if not index.folders:
        _nothing(root, index.problems)
    with st.sidebar:
        chosen = st.selectbox("Run", recent(index, "run"), key="run", bind="query-params", help=_older(index))
        run = Run(root / index.folders[chosen])
        names = [model.name for model in run.record.models]
        default = names.index(run.record.baseline) if run.record.baseline in names else 0
        baseline = st.selectbox("Baseline", names, index=default, key="baseline", bind="query-params")
        now = state(run)
        st.caption(f"{now} · {when(run)}")
        if now != "complete":
            _live(run.folder, run.digest, now)
    try:
        report: Report = _report(run.digest, str(run.folder), baseline)
    except SigmascopeError as error:
        st.error(plain(str(error)))
        st.stop()
    return View(root, index, run, report)


def look_again(root: Path) -> None:
    """Once a page is drawn: what the next click should know of finished runs, for which none waits."""
    Thread(target=Store(root).index, kwargs={"patience": PATIENCE}, daemon=True).start()


def _reading(place: Any, done: int, runs: int) -> None:
    """How far it is, where it takes long: some 2 ms a run when the folder is opened first."""
    if runs > MANY:
        place.progress(done / runs, f"{done:,} of {runs:,}")


@st.fragment(run_every=LIVE_SECONDS)  # type: ignore[untyped-decorator]
def _live(folder: Path, drawn: str, before: State) -> None:
    """Of an unfinished run: how far it is, and everything drawn anew when there is more to show than was drawn."""
    run = Run(folder)
    try:
        digest, now = run.digest, state(run)
    except (OSError, SigmascopeError):  # finished: the partial folder has become a whole one
        st.rerun()
    if (digest, now) != (drawn, before):
        st.rerun()
    if run.record.pending:  # runs of earlier versions don't say what is to come
        st.progress(*how_far(run, now))
    st.caption(FOLLOWED[now])


def how_far(run: Run, now: State) -> tuple[float, str]:
    """The share of its network evaluations that an unfinished run has done, and how many of its cells."""
    record, at = run.record, progress(run)
    done = sum(cell.evaluations for cell in record.cells)
    total = done + sum(cell.evaluations for cell in record.pending)
    if now == "running" and at is not None:
        done, total = at.done, at.total
    of = len(record.cells) + len(record.pending)
    return (min(done / total, 1.0) if total else 0.0), f"{len(record.cells)} of {of} cells"


@st.cache_resource(max_entries=8, show_spinner="Comparing")  # type: ignore[untyped-decorator]
def _report(digest: str, folder: str, baseline: str) -> Report:
    """Made once per content of a run and baseline."""
    run, tables = _read(digest, folder)
    return compared([run], rebased(tables, baseline))


@st.cache_resource(max_entries=8, show_spinner=False)  # type: ignore[untyped-decorator]
def _read(digest: str, folder: str) -> tuple[Run, Tables]:
    """A run and its tables, read once. Shared, not copied (evaluations are many): nobody writes to them."""
    run = Run(Path(folder))
    return run, collect([run])


def recent(index: Index, key: str) -> list[str]:
    """What a box to choose runs from offers: the RECENT newest, and those it holds already, by a link or a click."""
    held = st.session_state.get(key) or st.query_params.get_all(key)
    held = [held] if isinstance(held, str) else held
    newest = list(index.folders)[:RECENT]
    return newest + [one for one in held if one in index.folders and one not in newest]


def follow(view: View) -> None:
    """In a part of a page that is drawn alone: draw everything when a click in it has chosen another run."""
    if st.session_state["run"] != view.run.id:
        st.rerun()


def _older(index: Index) -> str | None:
    many = len(index.folders)
    return f"The newest {RECENT} of {many:,}. The table of the Overview finds the others." if many > RECENT else None


def tabs(view: View, bodies: Mapping[str, Callable[[View], None]], key: str) -> None:
    """Tabs by title, of which only the open one is made; which it is stands in the address."""
    drawn = st.tabs(list(bodies), key=key, on_change="rerun", bind="query-params")
    for tab, body in zip(drawn, bodies.values(), strict=True):
        if tab.open:
            with tab:
                body(view)


def choose_setting(view: View) -> dict[str, Any] | None:
    """The sampler setting chosen in the sidebar, among those that kept images: at first the dearest of the last."""
    settings = sample_settings(view.report.tables, every=True)
    if settings.empty:
        return None
    titles = cell_titles(settings)
    title = st.sidebar.selectbox("Sampler setting", titles, index=len(titles) - 1, key="setting", bind="query-params")
    row = settings.iloc[titles.index(title)]
    return {"steps": int(row["steps"]), **{name: str(row[name]) for name in ("sampler", "grid", "guidance")}}


def when(run: Run) -> str:
    """When a run was begun: "2026-01-31 09:30 UTC"."""
    return f"{run.record.created[:16].replace('T', ' ')} UTC"


def show(figure: go.Figure, key: str, **options: Any) -> Any:
    """A figure in our own style, not Streamlit's; its camera saves it sharp enough for a slide."""
    picture = {"toImageButtonOptions": {"format": "png", "scale": 2, "filename": key.removesuffix("-figure")}}
    draw = window.draw if window.narrow() else st.plotly_chart
    return draw(figure, theme=None, key=key, config={**CONFIG, **picture}, **options)


def go_to(view: View, path: str, label: str, **chosen: str) -> None:
    """A link to another page of the same run, with its widgets set; nothing where there is no such page."""
    if path in view.pages:
        keep = {"run": view.run.id, "baseline": st.session_state["baseline"]}
        st.page_link(view.pages[path], label=label, icon=":material/arrow_forward:", query_params={**keep, **chosen})


def gone_to(view: View, path: str, **chosen: str) -> None:
    """The same without a link: another page is shown at once. The sidebar keeps what it holds."""
    if path in view.pages:
        st.switch_page(view.pages[path], query_params=chosen)


def at_level(view: View, model: str, level: int) -> dict[str, str]:
    """What the page Noise levels is to show: the images of a model at a level."""
    levels = view.report.tables.levels
    sigma = levels.loc[levels["level"] == level, "sigma"].iloc[0]
    return {"of": model, "level": number(float(sigma), 3)}


def plain(words: str) -> str:
    """Words from a run for Streamlit's Markdown: every character that could be markup is escaped."""
    flat = " ".join(words.split())
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+-.!|$:~@&" else char for char in flat)


@st.fragment  # type: ignore[untyped-decorator]
def findings(report: Report) -> None:
    """Every band, class and score that differs, folded away under the line or the table that sums them up."""
    if len(report.tables.labels) < 2:
        st.info(plain(f"There is no second model to compare {report.tables.baseline} with."))
        return
    told = "All findings: bands, classes and images, scores of samples"
    with st.expander(told, key="findings", on_change="rerun", bind="query-params") as opened:
        if not opened.open:
            return
        rows = [
            f'<div class="finding"><b style="color:{both(style.verdict(finding.kind))}">{finding.kind}</b>'
            f"<span>{html.escape(finding.text)}</span></div>"
            for finding in report.findings
        ]
        st.html("".join(rows))
        st.caption(CERTAIN)


CERTAIN = (
    "A band's number is the mean ratio of its levels. In brackets 95% intervals, of all levels or classes at once: "
    "for sure is what has no unchanged in it. A score is one metric in one sampler setting."
)


def _nothing(root: Path, problems: list[str]) -> None:
    st.title("No runs yet")
    st.markdown(f"{plain(str(root))} holds no runs. Make one, and this page will show it:")
    st.code(f"sigmascope run SUITE.toml --out {root}", language="bash")
    for problem in problems:
        st.error(plain(problem))
    _wait(root)
    st.stop()


@st.fragment(run_every=LIVE_SECONDS)  # type: ignore[untyped-decorator]
def _wait(root: Path) -> None:
    """Until there is a run to be shown."""
    if Store(root).index().folders:
        st.rerun()
