"""Which sampler, at which cost, and where on its way does it lose? Tabs for quality and cost (quality.py), the model or
the sampler, the steps, the film and the two kinds of models; in each the answer first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from ..errors import DataError
from ..reports.flow_or_diffusion import sides
from ..reports.model_or_solver import Answer, share
from ..reports.model_or_solver import of_setting as larger_in
from ..reports.model_or_solver import table as answers_table
from ..reports.regression import in_steps, lost
from ..reports.sampler_findings import judge_steps, looked_for
from ..reports.tables import cell_title, cell_titles, metric_names
from ..reports.trajectories import of_quantity, of_setting, offered_steps, settings
from .downloads import offer
from .quality import quality
from .view import View, plain, show, tabs

BLAME, STEPS = "Model or sampler?", "Step by step"
TOLD = 3
"""Settings, or models, that have a sentence each; the table has all."""
ASK = 'not measured in this run. A suite asks for it in its `[sampling]` table: `probes = ["{}"]`.'


def page(view: View) -> None:
    bodies: dict[str, Callable[[View], None]] = {
        "Quality and cost": quality, BLAME: _model_or_solver, STEPS: _steps, "Film": _film,
        "Flow or diffusion": _flow_or_diffusion,
    }  # fmt: skip
    tabs(view, bodies, "view")


def _open(label: str, **chosen: str) -> None:
    """A link to another tab, with its widgets set."""
    st.button(label, type="tertiary", icon=":material/arrow_forward:", on_click=st.session_state.update, kwargs=chosen)


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
    else:
        _each_setting(own)
    shown = list(dict.fromkeys((own[0].steps, own[-1].steps)))
    beside = [of, base] if of != base and base in models else [of]
    figure = view.report.model_or_solver(beside, shown)
    show(figure, "model-or-solver-figure")
    st.caption(
        "Both errors in one unit: how far they move samples, in the data's spread, if those along the way add up. The "
        "model's is what probes prove to be avoidable, so at least that. Areas add up to the totals over each panel; "
        "an e-fold is a factor of 2.7."
    )
    if first:
        _each_setting(own)
    _open("The sampler's steps one by one", view=STEPS, walk=cell_title(own[0].setting))
    rows = partial(answers_table, answers)
    offer(view, "model-or-solver", figure, rows, f"model_or_solver({beside!r}, {shown!r})")
    st.dataframe(_brief(rows()), hide_index=True)


def _each_setting(own: list[Answer]) -> None:
    """What is left to gain in each sampler setting of a model."""
    told = [f"- {plain(one.title)}: **{plain(one.verdict)}** {plain(one.evidence)}" for one in own[:TOLD]]
    st.markdown("\n".join(told))


def _brief(table: pd.DataFrame) -> pd.DataFrame:
    """The answers' table, the setting in one column and what matters first."""
    titles = cell_titles(table)
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
    left, right = st.columns(2)
    setting = _setting(left, steps, "walk")
    _whose(view, setting)
    found = judge_steps(steps)
    for fault in found:
        st.error(plain(f"{fault.text}. Possible cause: {fault.rule.cause}."))
    own = of_setting(steps, setting)
    offered = {one.name: one for one in offered_steps(own, whole=False)}
    if offered:
        named = right.selectbox("By step", list(offered), key="by_step", bind="query-params")
        one = offered[str(named)]
        figure = view.report.along(setting, one)
        show(figure, "steps-figure")
        st.caption(plain(f"{one.name}: {one.meaning}." if one.meaning else one.name))
        asked = f"along({setting!r}, {one!r})"
        offer(view, "steps", figure, lambda: of_quantity(own, one), asked)
    if not found:
        st.caption(plain(f"Faults of the samplers themselves, in any setting. {looked_for(steps)}"))
    if view.report.solver_answers:
        _open("Model or sampler, over the noise levels", view=BLAME)
    whole = offered_steps(steps, whole=True)
    st.subheader("Over the whole way")
    if whole:
        figure = view.report.walks(whole)
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
    titles = cell_titles(every)
    title = place.selectbox("Sampler setting", titles, index=len(titles) - 1, key=key, bind="query-params")
    return {str(name): value for name, value in every.iloc[titles.index(str(title))].items()}


def _whose(view: View, setting: dict[str, Any]) -> None:
    """What the tab Model or sampler? says of this setting: the steps below are one half of it."""
    base, answers = view.report.tables.baseline, view.report.solver_answers
    own = [one for one in answers if all(one.setting[name] == value for name, value in setting.items())]
    if not own:
        return
    st.markdown(f"**{plain(larger_in(answers, own[0].steps))}** How far each moves samples, of the data's spread.")
    worse = in_steps(answers, own[0].steps, base)
    if worse:
        more = [f"and {len(worse) - TOLD} more models"] if len(worse) > TOLD else []
        st.markdown("\n".join(f"- {plain(one)}" for one in [*worse[:TOLD], *more]))


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
    figure = view.report.film(setting, sample)
    show(figure, "film-figure")
    st.caption(
        "From noise to the sample, all models from the same noise: the state, scaled to be seen, and under it the "
        "network's prediction of the clean image."
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
    st.markdown(f"**{plain(found.lead)}** {plain(found.evidence)}")
    figure = view.report.flow_or_diffusion(metric)
    show(figure, "flow-figure")
    st.caption(
        "Straightness: how far a path's velocity u is from that of the straight line between its ends, Z: mean square "
        "per dimension, over the time t of rectified flow. Areas of the middle panel add up to the left one's numbers."
    )
    offer(view, "flow-or-diffusion", figure, lambda: found.paths, f"flow_or_diffusion({metric!r})")
