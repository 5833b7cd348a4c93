"""What do the samples look like? A row per model, a column per seed; sorted, searched; the worst at a level."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ..reports.numbers import number
from ..reports.samples import DIFFERENCE, LOWEST_FIRST, SCORES, Sampled
from ..reports.summary import worst_level
from . import window
from .downloads import offer
from .view import View, choose_setting, plain, show

BY_NUMBER = "seed"
CLOSE = "closeup-figure"
PART, COLUMNS, NARROW, PITCH = 32, 8, 4, 62
"""Seeds before there is a next part; side by side, in a narrow window too; pixels a row."""


NEIGHBOURS = (
    "Training: the training image nearest to the sample, its number, and its distance over the mean distance of the 50 "
    "nearest: 0 is a copy. Held-out images, which no model has seen, say how near one comes by chance."
)
NOT_SCORED = "Nearest training images: not scored. A suite names training images as `train` in its [data] table."


def page(view: View) -> None:
    generated, worst = st.tabs(
        ["Generated", "Worst denoised, by level"], key="show", on_change="rerun", bind="query-params"
    )
    with worst if worst.open else generated:
        _worst(view) if worst.open else _generated(view)


def _generated(view: View) -> None:
    setting = choose_setting(view)
    if setting is None:
        st.info("No images were kept in this run. A suite keeps some when its [sampling] table asks for thumbnails.")
        return
    sampled = view.report.sampled(setting)
    wanted = st.sidebar.text_input("Search", key="search", bind="query-params", placeholder="3, 17 or class 4")
    ids = found(sampled.ids, dict(sampled.classes), str(wanted or ""))
    ids, score, of = _sorted(view, sampled, ids)
    if not ids:
        st.info("No kept image answers the search.")
        return
    part = _part(len(ids))
    columns = NARROW if window.narrow() else COLUMNS
    pictures, large = st.columns([2, 1], gap="small")
    with pictures:
        for first in range(0, len(part), columns):
            some = [ids[place] for place in part[first : first + columns]]
            figure = view.report.samples(**setting, ids=some, score=score, of=of, pitch=PITCH)
            key = f"samples-{first}-figure"
            show(figure, key, on_select=lambda key=key: _clicked(key), selection_mode="points")
        st.caption(
            f"{len(ids)} seeds, {part[0] + 1} to {part[-1] + 1} shown. A column is one seed: the same starting noise "
            f"in every model. {_explained(score)} Pixels are enlarged without smoothing. Click one to see it large."
        )
        offer(
            view, "samples", figure, lambda: sampled.table[sampled.table["sample"].isin(ids)],
            f"samples(**{setting!r}, ids={some!r}, score={score!r}, of={of!r})",
        )  # fmt: skip
    with large:
        _large(view, setting, sampled, ids, ids[part[0]])


def found(ids: list[int], classes: dict[int, int], words: str) -> list[int]:
    """The samples that a search names: numbers, or "class N"; all of them for an empty one, none for other words."""
    asked = words.lower().replace(",", " ").split()
    if not asked:
        return ids
    if asked[0] == "class":
        return [one for one in ids if str(classes.get(one, -1)) in asked[1:]]
    return [one for one in ids if str(one) in [word.removeprefix("#") for word in asked]]


def _sorted(view: View, sampled: Sampled, ids: list[int]) -> tuple[list[int], str, str]:
    """Samples by a score of one model, those to look at first; the score and the model."""
    order = st.sidebar.selectbox(
        "Sort by", [BY_NUMBER, *sampled.scores], key="sort", bind="query-params",
        format_func=lambda one: SCORES.get(one, one),
    )  # fmt: skip
    if order == BY_NUMBER:
        return ids, "", ""
    models = [model for model in sampled.kept if sampled.values(order, model)]
    first = models.index(worst) if (worst := _most_changed(view)) in models else 0
    model = st.sidebar.selectbox("Score of", models, index=first, key="sort_model", bind="query-params")
    wanted = set(ids)
    return [one for one in sampled.values(order, model) if one in wanted], str(order), str(model)


def _most_changed(view: View) -> str:
    """The model that a sort begins with: that of the worst band."""
    worst = max(view.report.bands, key=lambda band: band.ratio, default=None)
    return worst.model if worst else ""


def _explained(score: str) -> str:
    """What the number over a column says."""
    if not score:
        return ""
    if score == DIFFERENCE:
        return "Over a column: root mean square difference from the baseline's image, 1 being from black to white."
    if score in LOWEST_FIRST:
        return "Over a column, the nearest first: 0 would be a copy."
    return f"Over a column: {SCORES.get(score, plain(score))}."


def _part(count: int) -> range:
    """Places in the order that are shown: all, or one of several parts."""
    parts = -(-count // PART)
    names = [f"{PART * part + 1} to {min(PART * (part + 1), count)}" for part in range(parts)]
    chosen = 0
    if parts > 1:
        chosen = names.index(st.sidebar.selectbox("Seeds", names, key="part", bind="query-params"))
    return range(PART * chosen, min(PART * (chosen + 1), count))


def _clicked(key: str) -> None:
    """A click on an image chooses its seed."""
    for point in st.session_state[key].selection.points:
        if "customdata" in point:
            st.session_state["sample"] = int(point["customdata"][-1])
            window.look(CLOSE)
            return


def _large(view: View, setting: dict[str, Any], sampled: Sampled, ids: list[int], first: int) -> None:
    """One seed in every model: of the clicked image, at first of the first."""
    index = 0 if "sample" in st.session_state else ids.index(first)  # once it is set, no other beginning beside it
    sample = st.selectbox("Seed", ids, index=index, key="sample", bind="query-params")
    label = sampled.classes.get(sample, -1)
    show(view.report.closeup(sample, setting), CLOSE)
    said = f"Class {label}. " if label >= 0 else ""
    said += "− baseline: less the baseline's image; mid-grey is no difference. "
    said += NEIGHBOURS if sampled.beside else NOT_SCORED
    st.caption(said)


def _worst(view: View) -> None:
    """Every model's worst images at one level, model after model."""
    levels = view.report.tables.levels.drop_duplicates("level").sort_values("sigma")
    if levels.empty:
        st.info("No noise levels were measured in this run.")
        return
    sigmas = dict(zip(levels["level"].astype(int), levels["sigma"].astype(float), strict=True))
    top = worst_level(view.report)
    first = top[1] if top and top[1] in sigmas else list(sigmas)[len(sigmas) // 2]
    level = st.select_slider(
        "Noise level, sigma", list(sigmas), value=first, key="worst_level", bind="query-params",
        format_func=lambda one: number(sigmas[one], 3),
    )  # fmt: skip
    st.caption(
        "Beside each image its number (class) and squared error, the baseline's first where it kept the same image and "
        "noise; those stand first. Answer − truth: mid-grey where they agree."
    )
    places = st.columns(2)
    for index, model in enumerate(view.report.tables.labels):
        with places[index % 2]:
            st.markdown(f"**{plain(model)}**")
            show(view.report.worst_images(model, level, first="hardest"), f"worst-{index}-figure")
