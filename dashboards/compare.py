"""Which of these is worse, where, and can one see it? Two models or more, of one run or of several, side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from ..errors import SigmascopeError
from ..evals.store import Run
from ..reports.figures import style
from ..reports.report import Report, assemble
from ..reports.sections import PAIRS
from ..reports.summary import summary
from . import window
from .attributed import attributed
from .downloads import offer
from .view import View, at_level, choose_setting, findings, gone_to, plain, recent, show

WHERE = "where-figure"


def page(view: View) -> None:
    others = [one for one in recent(view.index, "with") if one != view.run.id]
    ids = st.sidebar.multiselect("Also compare runs", others, key="with", bind="query-params")
    report = view.report
    if ids:
        runs = [view.run, *(Run(view.root / view.index.folders[one]) for one in ids)]
        try:
            report = _joined(tuple(run.digest for run in runs), tuple(str(run.folder) for run in runs))
        except SigmascopeError as error:
            st.error(plain(str(error)))
            return
    view = view.of(report)
    if not (report.comparisons or report.refused):
        st.info(plain(f"There is no second model to compare {report.tables.baseline} with. Choose a run beside it."))
        return
    _verdicts(view)
    findings(report)
    candidates = [one.candidate for one in report.comparisons]
    if candidates:
        _pair(view, candidates)


def _verdicts(view: View) -> None:
    """Which is worse, and where: the table, and a cell for each noise level."""
    table = summary(view.report)
    if not any(len(one.metrics) for one in view.report.comparisons):
        table = table.drop(columns=["metrics worse", "metrics better"], errors="ignore")
    colours = [style.verdict(str(verdict).partition(":")[0], window.theme()) for verdict in table["verdict"]]
    said = [f"color: {colour}; font-weight: 600" for colour in colours]
    st.dataframe(table.style.apply(lambda _: said, subset=["verdict"]), hide_index=True)
    if any(len(one.levels) for one in view.report.comparisons):
        figure = view.report.where()
        clicked = show(figure, WHERE, on_select="rerun", selection_mode="points")
        alone = len(view.report.runs) == 1  # the page of noise levels is of one run
        for point in clicked.selection.points if alone else ():
            model, level = point["customdata"]
            gone_to(view, "noise-levels", **at_level(view, str(model), int(level)))
        st.caption(
            "Denoising error: ▲ surely worse, ▼ surely better, ? neither ruled out, empty: within the margin. "
            "Bold: a model's worst level." + " A click on a cell opens the images of its level." * alone
        )
        offer(view, "where", figure, lambda: _levels(view.report), "where()")


def _levels(report: Report) -> pd.DataFrame:
    """What the cells stand for: every comparison's levels."""
    parts = [one.levels.assign(model=one.candidate, against=one.baseline) for one in report.comparisons]
    table = pd.concat(parts, ignore_index=True)
    return table[["model", "against", *(name for name in table if name not in ("model", "against"))]]


def _pair(view: View, candidates: list[str]) -> None:
    """One candidate beside its baseline: in numbers, in same-seed samples, in denoised images at every level."""
    report = view.report
    worst = max(report.bands, key=lambda band: band.ratio, default=None)
    index = candidates.index(worst.model) if worst else 0
    index = 0 if "candidate" in st.session_state else index  # a link has chosen one
    candidate = st.sidebar.selectbox("Candidate", candidates, index=index, key="candidate", bind="query-params")
    comparison = next(one for one in report.comparisons if one.candidate == candidate)
    models = [comparison.baseline, comparison.candidate]
    setting = choose_setting(view)
    if setting is None:
        st.caption("No sampler kept images here, so there are none to flip between.")
    else:
        st.subheader(plain(f"{comparison.baseline} and {candidate}, the same seeds"))
        if report.sampled(setting).alike(comparison.baseline, candidate):
            st.info("The same images, pixel by pixel: this setting asks both networks only where they answer alike.")
        else:
            st.caption(PAIRS)
        figure = report.pairs(models, setting)
        show(figure, "pairs-figure")
        offer(view, "pairs", figure, lambda: comparison.metrics, f"pairs({models!r}, {setting!r})")
    st.subheader("The same noisy image, level by level")
    st.caption(plain(f"At each level the image that {candidate} gets most wrong, of those that both models kept."))
    figure = report.denoise_strips(models)
    show(figure, "strips-figure")
    offer(view, "levels", figure, lambda: comparison.levels, f"denoise_strips({models!r})")
    attributed(view, comparison)


@st.cache_resource(max_entries=4, show_spinner="Comparing")  # type: ignore[untyped-decorator]
def _joined(digests: tuple[str, ...], folders: tuple[str, ...]) -> Report:
    """Made once per content of the runs, the first of them the baseline's; shared, as in view.py."""
    return assemble([Run(Path(folder)) for folder in folders])
