"""Samplers page, first tab: which setting is the cheapest within 5% of the best, and how do its samples look?

Answer -> do the metrics agree -> figure; a click on a point, or the box over it, -> samples beside the baseline's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from ..reports.cheapest import SETTING, WITHIN, Answer, against, by_model, measured
from ..reports.report import Report
from ..reports.tables import cell_title, metric_names
from . import window
from .downloads import offer
from .view import View, go_to, plain, show

ALL, NONE = "all models", "none"
FIGURE = "samplers-figure"
SHARE = f"{100 * WITHIN:.0f}%"


def ahead(report: Report) -> None:
    """Draw what the tab shows at first, for the report to remember."""
    metrics = metric_names(report.tables)
    for metric in metrics[:1]:
        report.samplers(metric, model="", chosen=None)
    for metric in metrics:
        report.cheapest(metric, "")


def quality(view: View) -> None:
    metrics = metric_names(view.report.tables)
    if not metrics:
        st.info("No samples were scored in this run. A suite scores them when it has a [sampling] table.")
        return
    left, right = st.columns(2)
    metric = left.selectbox("Metric", metrics, key="metric", bind="query-params")
    table = view.report.settings(metric, "")
    models = [ALL, *dict.fromkeys(table["model"])]
    of = right.selectbox("Models", models, key="samplers_of", bind="query-params")
    model = "" if of == ALL else str(of)
    chosen = _chosen(table)
    rows, answer = view.report.settings(metric, model), view.report.cheapest(metric, model)
    _answer(answer, metric)
    doubts = st.container()
    figure = view.report.samplers(metric, model=model, chosen=chosen)
    show(figure, FIGURE, on_select=_clicked, selection_mode="points")
    if answer is not None:
        with doubts:  # above the figure, which does not wait for them
            _doubts(view, answer, model)
    asked = f"samplers({metric!r}, model={model!r}" + (f", chosen={chosen!r})" if chosen else ")")
    offer(view, "samplers", figure, lambda: rows, asked)
    _behind(view, table, chosen)
    if not model:
        _each_model(table, metric)
    with st.expander("Every setting"):
        names = {"front": "on the Pareto front", "contender": "may be on it"}
        columns = [*SETTING, "evaluations", "value", "low", "high", "n", *names, "protocol"]
        st.dataframe(rows[columns].rename(columns=names), hide_index=True)


def _title(setting: Mapping[Any, Any]) -> str:
    """ "digits-eps with heun, 10 steps (karras)"."""
    return f"{setting['model']} with {cell_title(setting)}"


def _chosen(table: pd.DataFrame) -> dict[str, Any] | None:
    """The setting whose samples are shown: that of the box under the figure, or of a link before it is drawn."""
    title = st.session_state.get("samples_of") or st.query_params.get("samples_of")
    row = _offered(table).get(str(title))
    return row and {name: int(row[name]) if name == "steps" else str(row[name]) for name in SETTING}


def _offered(table: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    return {_title(row): row for row in table[SETTING].to_dict("records")}


def _clicked() -> None:
    """A click on a point shows that setting's samples; one that leaves none chosen puts them away."""
    points = [one["customdata"] for one in st.session_state[FIGURE].selection.points if "customdata" in one]
    titles = [_title(dict(zip(SETTING, one, strict=False))) for one in points if len(one) > len(SETTING)]
    st.session_state["samples_of"] = titles[0] if titles else NONE


def _answer(answer: Answer | None, metric: str) -> None:
    """The sentence, its doubt in it."""
    if answer is None:
        st.caption(plain(f"No setting is called the best: {metric} has no known direction, or no value above 0."))
    else:
        st.markdown(f"**{plain(answer.headline)}**")


def _doubts(view: View, answer: Answer, model: str) -> None:
    """Whether another metric contradicts it; then what else it may be."""
    told = [against(answer, other) for other in _others(view, answer.metric, model)]
    contrary = [words for words, sure in told if sure]
    if contrary:
        st.markdown(f":material/warning: **Metrics contradict each other.** {plain(' '.join(contrary))}")
    mild = [words for words, sure in told if words and not sure]
    said = " ".join(filter(None, [answer.named, *mild]))
    if said:
        st.caption(plain(said))


def _others(view: View, metric: str, model: str) -> list[Answer]:
    """The same question by the other metrics."""
    answers = (view.report.cheapest(other, model) for other in metric_names(view.report.tables) if other != metric)
    return [answer for answer in answers if answer]


def _behind(view: View, table: pd.DataFrame, chosen: dict[str, Any] | None) -> None:
    """Samples of the chosen setting, and under them the baseline's; a link to all of them."""
    offered = [NONE, *_offered(table)]
    st.selectbox("Samples of (or click a point)", offered, key="samples_of", bind="query-params", width=420)
    if chosen is None:
        return
    model, base = str(chosen["model"]), view.report.tables.baseline
    setting = {name: value for name, value in chosen.items() if name != "model"}
    models = list(dict.fromkeys((model, base)))
    st.subheader(plain(f"Samples of {_title(chosen)}"))
    show(view.report.samples(**setting, models=models), "behind-figure")
    beside = f"First {model}, under it its baseline {base}: a column is one seed." if model != base else ""
    st.caption(plain(f"{beside} To put them away, choose none above.".strip()))
    title = cell_title(setting)
    go_to(view, "samples", "All kept samples of this setting, in all models", setting=title)


def _each_model(table: pd.DataFrame, metric: str) -> None:
    """The same answer for each model by itself, a line each."""
    answers = by_model(table, metric)
    if len(answers) < 2:
        return
    st.subheader("Each model by itself", help="Against the best of its own settings.")
    rows = pd.DataFrame(
        [
            {
                "model": model, f"cheapest within {SHARE} of its best": one.title(one.pick),
                "evaluations": int(one.pick["evaluations"]), metric: measured(one.pick),
                "its best": one.title(one.best), "best value": measured(one.best),
                "cheaper, not ruled out": len(one.rivals),
            }
            for model, one in answers.items()
        ]
    )  # fmt: skip
    st.dataframe(rows, hide_index=True, column_order=window.first(rows, "model", "evaluations"))
