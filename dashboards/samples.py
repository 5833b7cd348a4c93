"""What do the samples look like? A row per model, a column per seed; sorted, searched; the worst at a level."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from ..reports.figures.samples import MAX_COLUMNS, samples, shared_ids
from ..reports.numbers import number
from .downloads import offer
from .view import View, choose_setting, plain, show

BY_NUMBER = "seed"
FACTS = {"steps", "sample", "label", "evaluations", "tile"}
"""Numbers of a sample that say what it is, not how good."""


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
    rows, classes = view.report.images(setting)
    table = _of(view.report.tables.samples, setting)
    ids = shared_ids(rows)
    wanted = st.sidebar.text_input("Search", key="search", bind="query-params", placeholder="3, 17 or class 4")
    ids = found(ids, classes, str(wanted or ""))
    ids, notes = _sorted(table, ids)
    if not ids:
        st.info("No kept image answers the search.")
        return
    for first in range(0, min(len(ids), 3 * MAX_COLUMNS), MAX_COLUMNS):
        shown = ids[first : first + MAX_COLUMNS]
        figure = samples(rows, view.report.colours, classes, view.theme, shown, notes)
        show(figure, f"samples-figure-{first}" if first else "samples-figure")
    st.caption("A column is one seed: the same starting noise in every model. Pixels are enlarged without smoothing.")
    offer(view, "samples", figure, lambda: table[table["sample"].isin(ids)], f"samples(**{setting!r})")


def found(ids: list[int], classes: dict[int, int], words: str) -> list[int]:
    """The samples that a search names: numbers, or "class N"; all of them for an empty one, none for other words."""
    asked = words.lower().replace(",", " ").split()
    if not asked:
        return ids
    if asked[0] == "class":
        return [one for one in ids if str(classes.get(one, -1)) in asked[1:]]
    return [one for one in ids if str(one) in [word.removeprefix("#") for word in asked]]


def scores(table: pd.DataFrame) -> list[str]:
    """Columns of table `samples` that tell something of each sample."""
    numeric = [str(name) for name in table if name not in FACTS and pd.api.types.is_numeric_dtype(table[name])]
    return [name for name in numeric if table[name].notna().any()]


def _sorted(table: pd.DataFrame, ids: list[int]) -> tuple[list[int], dict[int, str]]:
    """Samples by a score of one model or of all, highest first, with the score over each column."""
    known = scores(table)
    order = st.sidebar.selectbox("Sort by", [BY_NUMBER, *known], key="sort", bind="query-params")
    if order == BY_NUMBER:
        return ids, {}
    models = list(dict.fromkeys(table["model"]))
    model = st.sidebar.selectbox("Score of", models, key="sort_model", bind="query-params")
    values = table[table["model"] == model].set_index("sample")[order].dropna()
    ranked = [one for one in values.sort_values(ascending=False, kind="stable").index if one in set(ids)]
    return ranked, {one: number(float(values[one]), 2) for one in ranked}


def _of(table: pd.DataFrame, setting: dict[str, Any]) -> pd.DataFrame:
    for name, value in setting.items():
        table = table[table[name] == value]
    return table


def _worst(view: View) -> None:
    """Every model's worst images at one level, model after model."""
    levels = view.report.tables.levels.drop_duplicates("level").sort_values("sigma")
    if levels.empty:
        st.info("No noise levels were measured in this run.")
        return
    sigmas = dict(zip(levels["level"].astype(int), levels["sigma"].astype(float), strict=True))
    middle = list(sigmas)[len(sigmas) // 2]
    level = st.select_slider(
        "Noise level, sigma", list(sigmas), value=middle, key="worst_level", bind="query-params",
        format_func=lambda one: number(sigmas[one], 3),
    )  # fmt: skip
    st.caption(
        "By its number and class each image's squared error. Base: the baseline's answer to the same image and noise, "
        "where it was kept. Apart: mid-grey where answer and truth agree."
    )
    places = st.columns(2)
    for index, model in enumerate(view.report.tables.labels):
        with places[index % 2]:
            st.markdown(f"**{plain(model)}**")
            show(view.report.worst_images(model, level, view.theme), f"worst-{index}-figure")
