"""Which sampler, at which cost, and where on its way does it lose? The answer first; tabs for the model or the sampler,
the steps, the film and the two kinds of models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from ..errors import DataError
from ..reports.cheapest import by_model, cheapest, measured
from ..reports.flow_or_diffusion import sides
from ..reports.model_or_solver import share
from ..reports.model_or_solver import table as answers_table
from ..reports.regression import lost
from ..reports.sampler_findings import judge_steps
from ..reports.tables import cell_title, metric_names
from ..reports.tables import samplers as samplers_table
from ..reports.trajectories import SETTING, of_quantity, of_setting, offered_steps, settings
from .downloads import offer
from .view import View, go_to, plain, show, tabs

ALL = "all models"
FIGURE = "samplers-figure"
TOLD = 3
"""Settings that have a sentence each, those of the finest steps; the table has all."""
ASK = 'not measured in this run. A suite asks for it in its `[sampling]` table: `probes = ["{}"]`.'


def page(view: View) -> None:
    bodies: dict[str, Callable[[View], None]] = {
        "Quality and cost": _quality, "Model or sampler?": _model_or_solver, "Step by step": _steps, "Film": _film,
        "Flow or diffusion": _flow_or_diffusion,
    }  # fmt: skip
    tabs(view, bodies, "view")


def _quality(view: View) -> None:
    metrics = metric_names(view.report.tables)
    if not metrics:
        st.info("No samples were scored in this run. A suite scores them when it has a [sampling] table.")
        return
    left, right = st.columns([1, 1])
    metric = left.selectbox("Metric", metrics, key="metric", bind="query-params")
    table = samplers_table(view.report.tables, metric)
    models = [ALL, *dict.fromkeys(table["model"])]
    chosen = right.selectbox("Models", models, key="samplers_of", bind="query-params")
    model = "" if chosen == ALL else str(chosen)
    rows = table[table["model"] == model] if model else table
    _answer(rows, metric)
    _by_others(view, metrics, metric, model)
    figure = view.report.samplers(metric, view.theme, model)
    show(figure, FIGURE, on_select=_clicked, selection_mode="points")
    offer(view, "samplers", figure, lambda: rows, f"samplers({metric!r}, model={model!r})")
    _behind(view, rows)
    if not model:
        _each_model(view, table, metric)
    setting = ["model", "sampler", "steps", "grid", "guidance"]
    with st.expander("Every setting"):
        columns = [*setting, "evaluations", "value", "low", "high", "n", "front", "contender", "protocol"]
        st.dataframe(rows[columns], hide_index=True)


def _answer(rows: pd.DataFrame, metric: str) -> None:
    answer = cheapest(rows, metric)
    if answer is None:
        st.caption(plain(f"No setting is called the best: {metric} has no known direction, or no value above 0."))
        return
    st.markdown(f"**{plain(f'{answer.headline} {answer.doubt}'.strip())}**")


def _by_others(view: View, metrics: list[str], metric: str, model: str) -> None:
    """What the other metrics call the cheapest within 5% of their best: it need not be the same setting."""
    told = []
    for other in metrics:
        table = samplers_table(view.report.tables, other)
        answer = cheapest(table[table["model"] == model] if model else table, other) if other != metric else None
        if answer is not None:
            told.append(f"by {other} {answer.title(answer.pick)} ({int(answer.pick['evaluations'])} evaluations)")
    if told:
        st.caption(plain(f"Metrics need not agree: {'; '.join(told)}."))


def _each_model(view: View, table: pd.DataFrame, metric: str) -> None:
    """The same answer for each model by itself, a line each."""
    answers = by_model(table, metric)
    if len(answers) < 2:
        return
    st.subheader("Each model by itself", help="Against the best of its own settings.")
    rows = pd.DataFrame(
        [
            {
                "model": model, "cheapest within 5% of its best": one.title(one.pick),
                "evaluations": int(one.pick["evaluations"]), metric: measured(one.pick),
                "its best": one.title(one.best), "best value": measured(one.best),
                "cheaper, not told apart": len(one.rivals),
            }
            for model, one in answers.items()
        ]
    )  # fmt: skip
    st.dataframe(rows, hide_index=True)


def _clicked() -> None:
    """A click on a point shows that setting's samples."""
    for point in st.session_state[FIGURE].selection.points:
        if len(point.get("customdata", ())) == 6:
            _, sampler, steps, grid, guidance, _ = point["customdata"]
            st.session_state["shot"] = {
                "sampler": str(sampler), "steps": int(steps), "grid": str(grid), "guidance": str(guidance),
            }  # fmt: skip
            return


def _behind(view: View, rows: pd.DataFrame) -> None:
    """Samples of the clicked setting, in all models; a link to all of them."""
    setting: dict[str, Any] | None = st.session_state.get("shot")
    known = [{name: row[name] for name in SETTING} for _, row in rows.iterrows()]
    if setting is None or setting not in known:
        st.caption("Click a point to see its samples.")
        return
    title = cell_title(pd.Series(setting))
    st.subheader(plain(title))
    show(view.report.samples(**setting, theme=view.theme), "behind-figure")
    go_to(view, "samples", "All kept samples of this setting", setting=title)


def _model_or_solver(view: View) -> None:
    answers = view.report.solver_answers
    if not answers:
        st.info("No sampler's steps were measured beside a model's errors in this run.")
        st.caption('A suite asks for both: `[probes] use = ["default", "excess_error"]` and, in `[sampling]`,')
        st.code('probes = ["local_error"]', language="toml")
        return
    models = list(dict.fromkeys(str(one.setting["model"]) for one in answers))
    of = st.selectbox("Model", models, index=models.index(_suspect(view, models)), key="blamed", bind="query-params")
    own = sorted((one for one in answers if one.setting["model"] == of), key=lambda one: one.solver)
    base = view.report.tables.baseline
    first, why = lost(answers, of, base)
    if first:
        st.markdown(f"**{plain(first)}** {plain(why)}")
    for one in own[:TOLD]:
        st.markdown(plain(one.text))
    shown = list(dict.fromkeys((own[0].steps, own[-1].steps)))
    beside = [of, base] if of != base and base in models else [of]
    figure = view.report.model_or_solver(beside, shown, view.theme)
    show(figure, "model-or-solver-figure")
    st.caption(
        "Both errors in one unit: how far they move samples, in the data's spread, if those along the way add up. The "
        "model's is what probes prove to be avoidable, so at least that. Areas add up to the totals over each panel; "
        "an e-fold is a factor of 2.7."
    )
    rows = partial(answers_table, answers)
    offer(view, "model-or-solver", figure, rows, f"model_or_solver({beside!r}, {shown!r})")
    st.dataframe(_brief(rows()), hide_index=True)


def _brief(table: pd.DataFrame) -> pd.DataFrame:
    """The answers' table, the setting in one column and what matters first."""
    titles = [cell_title(row) for _, row in table.iterrows()]
    shares = ["model, at least", "sampler's steps", "low", "high"]
    told = table.assign(setting=titles, **{name: table[name].map(share) for name in shares})
    return told[["model", "setting", "larger error", *shares]]


def _suspect(view: View, models: list[str]) -> str:
    """The model that regressed most, else the first."""
    worse = sorted((band for band in view.report.bands if band.model in models), key=lambda band: -band.ratio)
    return worse[0].model if worse and worse[0].ratio > 1 else models[0]


def _steps(view: View) -> None:
    steps = view.report.steps
    if steps.empty:
        st.info("No sampler was looked at step by step in this run.")
        st.caption("A suite asks for it in its [sampling] table:")
        st.code('probes = ["local_error", "order", "straightness"]', language="toml")
        return
    _findings(steps)
    left, right = st.columns(2)
    setting = _setting(left, steps, "walk")
    own = of_setting(steps, setting)
    offered = {one.name: one for one in offered_steps(own, whole=False)}
    if offered:
        named = right.selectbox("By step", list(offered), key="by_step", bind="query-params")
        one = offered[str(named)]
        figure = view.report.along(setting, one, view.theme)
        show(figure, "steps-figure")
        st.caption(plain(f"{one.name}: {one.meaning}." if one.meaning else one.name))
        asked = f"along({setting!r}, {one!r})"
        offer(view, "steps", figure, lambda: of_quantity(own, one), asked)
    whole = offered_steps(steps, whole=True)
    st.subheader("Over the whole way")
    if whole:
        figure = view.report.walks(whole, view.theme)
        show(figure, "walks-figure")
        offer(view, "walks", figure, lambda: steps[steps["index"] < 0], f"walks({whole!r})")
    asked_for = set(steps["probe"])
    for probe, what in (("local_error", "Where the sampler loses"), ("order", "The order of the sampler"),
                        ("straightness", "How straight the paths are")):  # fmt: skip
        if probe not in asked_for:
            st.caption(f"**{what}**: {ASK.format(probe)}")


def _setting(place: st.delta_generator.DeltaGenerator, rows: pd.DataFrame, key: str) -> dict[str, Any]:
    """One of the settings that the rows have, by its title; at first the last."""
    every = settings(rows)
    titles = [cell_title(row) for _, row in every.iterrows()]
    title = place.selectbox("Sampler setting", titles, index=len(titles) - 1, key=key, bind="query-params")
    return {str(name): value for name, value in every.iloc[titles.index(str(title))].items()}


def _findings(steps: pd.DataFrame) -> None:
    """What is wrong with a sampler by itself."""
    found = judge_steps(steps)
    for one in found:
        st.error(plain(f"{one.text}. Likely cause: {one.rule.cause}."))
    if not found:
        probes = ", ".join(sorted({str(name).replace("_", " ") for name in steps["probe"]}))
        st.caption(f"No sampler looks wrong in what was measured: {plain(probes)}.")


def _film(view: View) -> None:
    kept = view.report.filmed
    if kept.empty:
        st.info("No film was kept in this run.")
        st.caption("A suite keeps that of four samples with this line in its [sampling] table:")
        st.code("film = 4", language="toml")
        return
    left, right = st.columns(2)
    setting = _setting(left, kept, "film_of")
    rows = of_setting(kept, setting)
    samples = [str(one) for one in sorted(rows["sample"].unique())]
    sample = int(right.selectbox("Sample", samples, key="film_sample", bind="query-params"))
    figure = view.report.film(setting, sample, view.theme)
    show(figure, "film-figure")
    st.caption(
        "From noise to the sample, all models from the same noise: the state, scaled to be seen, and under it what the "
        "network takes it for."
    )
    offer(view, "film", figure, lambda: rows[rows["sample"] == sample], f"film({setting!r}, {sample})")


def _flow_or_diffusion(view: View) -> None:
    metrics = metric_names(view.report.tables)
    metric = st.session_state.get("metric") if st.session_state.get("metric") in metrics else None
    metric = str(metric or next(iter(metrics), ""))
    try:
        found = sides(view.report.runs[0], metric)
    except DataError:
        st.info("No straightness was measured in this run.")
        st.caption("A suite asks for it in its [sampling] table; some 50 steps tell it best:")
        st.code('probes = ["straightness"]', language="toml")
        return
    st.markdown(plain(found.text))
    figure = view.report.flow_or_diffusion(metric, view.theme)
    show(figure, "flow-figure")
    offer(view, "flow-or-diffusion", figure, lambda: found.paths, f"flow_or_diffusion({metric!r})")
