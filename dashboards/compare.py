"""Which of these is worse, where, and can one see it? Two models or more, of one run or of several, side by side."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ..errors import SigmascopeError
from ..evals.store import Run
from ..reports.report import Report, assemble
from ..reports.summary import summary
from .downloads import offer
from .view import View, choose_setting, findings, plain, show


def page(view: View) -> None:
    others = {run.id: run for run in view.runs if run.id != view.run.id}
    ids = st.sidebar.multiselect("Also compare runs", list(others), key="with", bind="query-params")
    report = view.report
    if ids:
        runs = [view.run, *(others[one] for one in ids)]
        try:
            report = _joined(tuple(run.digest for run in runs), tuple(str(run.folder) for run in runs))
        except SigmascopeError as error:
            st.error(plain(str(error)))
            return
    view = view.of(report)
    if not (report.comparisons or report.refused):
        st.info(plain(f"There is no second model to compare {report.tables.baseline} with. Choose a run beside it."))
        return
    st.dataframe(summary(report), hide_index=True)
    with st.expander("Every difference in words"):
        findings(report, len(report.findings))
    candidates = [one.candidate for one in report.comparisons]
    if candidates:
        _pair(view, candidates)


def _pair(view: View, candidates: list[str]) -> None:
    """One candidate beside its baseline: in numbers, in same-seed samples, in denoised images at every level."""
    report = view.report
    worst = max(report.bands, key=lambda band: band.ratio, default=None)
    index = candidates.index(worst.model) if worst else 0
    candidate = st.sidebar.selectbox("Candidate", candidates, index=index, key="candidate", bind="query-params")
    comparison = next(one for one in report.comparisons if one.candidate == candidate)
    models = [comparison.baseline, comparison.candidate]
    st.subheader(plain(f"{comparison.baseline} and {candidate}, the same seeds"))
    setting = choose_setting(view)
    if setting is None:
        st.caption("No images were kept in this run.")
    else:
        st.caption("Flip between the two: what jumps is what changed. Mid-grey is no difference.")
        figure = report.pairs(models, setting, view.theme)
        show(figure, "pairs-figure")
        offer(view, "pairs", figure, lambda: comparison.metrics, f"pairs({models!r}, {setting!r})")
    st.subheader("The same noisy image, level by level")
    st.caption(plain(f"At each level the image that {candidate} gets most wrong, of those that both models kept."))
    figure = report.denoise_strips(models, view.theme)
    show(figure, "strips-figure")
    offer(view, "levels", figure, lambda: comparison.levels, f"denoise_strips({models!r})")


@st.cache_resource(max_entries=4, show_spinner="Comparing")  # type: ignore[untyped-decorator]
def _joined(digests: tuple[str, ...], folders: tuple[str, ...]) -> Report:
    """Made once per content of the runs, the first of them the baseline's; shared, as in view.py."""
    return assemble([Run(Path(folder)) for folder in folders])
