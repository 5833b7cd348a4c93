"""Which of these is worse, where, and can one see it? Two models or more, of one run or of several, side by side."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from ..errors import SigmascopeError
from ..evals.store import Run
from ..reports.attribution import cost, sentence
from ..reports.attribution_document import stored
from ..reports.compare import Comparison
from ..reports.figures.attribution import attribution
from ..reports.kept import attribution_of
from ..reports.report import Report, assemble
from ..reports.sections import PAIRS
from ..reports.summary import summary
from ..reports.tables import each
from .downloads import offer
from .view import COLOURS, View, at_level, choose_setting, findings, gone_to, plain, recent, show

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
    colours = [COLOURS.get(str(verdict).partition(":")[0], "inherit") for verdict in table["verdict"]]
    said = [f"color: {colour}; font-weight: 600" for colour in colours]
    st.dataframe(table.style.apply(lambda _: said, subset=["verdict"]), hide_index=True)
    if any(len(one.levels) for one in view.report.comparisons):
        clicked = show(view.report.where(view.theme), WHERE, on_select="rerun", selection_mode="points")
        alone = len(view.report.runs) == 1  # the page of noise levels is of one run
        for point in clicked.selection.points if alone else ():
            model, level = point["customdata"]
            gone_to(view, "noise-levels", **at_level(view, str(model), int(level)))
        st.caption(
            "Denoising error: ▲ surely worse, ▼ surely better, ? neither ruled out, empty: within the margin."
            + " A click on a cell opens the images of its level." * alone
        )


def _pair(view: View, candidates: list[str]) -> None:
    """One candidate beside its baseline: in numbers, in same-seed samples, in denoised images at every level."""
    report = view.report
    worst = max(report.bands, key=lambda band: band.ratio, default=None)
    index = candidates.index(worst.model) if worst else 0
    candidate = st.sidebar.selectbox("Candidate", candidates, index=index, key="candidate", bind="query-params")
    comparison = next(one for one in report.comparisons if one.candidate == candidate)
    models = [comparison.baseline, comparison.candidate]
    setting = choose_setting(view)
    if setting is None:
        st.caption("No sampler kept images here, so there are none to flip between.")
    else:
        st.subheader(plain(f"{comparison.baseline} and {candidate}, the same seeds"))
        st.caption(PAIRS)
        figure = report.pairs(models, setting, view.theme)
        show(figure, "pairs-figure")
        offer(view, "pairs", figure, lambda: comparison.metrics, f"pairs({models!r}, {setting!r})")
    st.subheader("The same noisy image, level by level")
    st.caption(plain(f"At each level the image that {candidate} gets most wrong, of those that both models kept."))
    figure = report.denoise_strips(models, view.theme)
    show(figure, "strips-figure")
    offer(view, "levels", figure, lambda: comparison.levels, f"denoise_strips({models!r})")
    _attribution(view, comparison)


def _attribution(view: View, comparison: Comparison) -> None:
    """Which noise levels carry the change in samples: a kept attribution of these very models, or how to get one."""
    title = "Which noise levels carry the change in the samples"
    sides = [_model(view.report, label) for label in (comparison.baseline, comparison.candidate)]
    try:
        kept = attribution_of(view.root, *sides)
    except SigmascopeError as error:
        st.warning(plain(str(error)))
        return
    if kept is None:
        first, second = (shlex.quote(f"{run.id}:{name}") for run, name in sides)
        with st.expander(f"{title}: not measured yet"):
            st.caption("This measures it; where the suite's specs are relative, `--root` is its folder:")
            runs = f"--runs {shlex.quote(str(view.root))}"
            st.code(f"sigmascope attribute {first} {second} {runs} --root .", language="bash", wrap_lines=True)
        return
    st.subheader(title)
    found, subject = stored(kept.attribution)
    for metric in found.metrics:
        st.markdown(plain(sentence(found, metric, subject)))
    figure = attribution(found, found.metrics[0], view.theme)
    show(figure, "attribution-figure")
    settings = ", ".join(f"{name} {value}" for name, value in subject.settings.items())
    st.caption(plain(f"{kept.when[:16].replace('T', ' ')} UTC; {cost(found)}. {settings}"))


def _model(report: Report, label: str) -> tuple[Run, str]:
    """The run and the name of a model."""
    row = next(row for row in each(report.tables.models) if row.label == label)
    return report.runs[row.source], str(row.name)


@st.cache_resource(max_entries=4, show_spinner="Comparing")  # type: ignore[untyped-decorator]
def _joined(digests: tuple[str, ...], folders: tuple[str, ...]) -> Report:
    """Made once per content of the runs, the first of them the baseline's; shared, as in view.py."""
    return assemble([Run(Path(folder)) for folder in folders])
