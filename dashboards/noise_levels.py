"""At which noise level does a model break? The picture, and behind any of its points the images that went worst."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st

from ..metrics.units import Unit
from ..reports.numbers import number
from ..reports.tables import worst_images
from .view import View, plain, show

NAMES = {"x0": "image x₀", "eps": "noise ε", "v": "v", "flow": "flow velocity", "F": "EDM's F"}


def page(view: View) -> None:
    units: list[Unit] = list(get_args(Unit))
    with st.sidebar:
        unit = st.selectbox("Error measured in", units, key="unit", bind="query-params", format_func=NAMES.__getitem__)
        sigma_data = 0.5
        if unit == "F":
            sigma_data = st.number_input("sigma_data", min_value=0.01, value=0.5, key="sigma_data", bind="query-params")
    figure = view.report.noise_levels(unit, view.theme, sigma_data)
    event = show(figure, "noise-levels-figure", on_select="rerun", selection_mode="points")
    _images(view, event.selection.points)


def _images(view: View, points: list[dict[str, Any]]) -> None:
    """The images behind the clicked point; before any click, behind the worst level of all."""
    comparisons = {comparison.candidate: comparison for comparison in view.report.comparisons}
    clicked = [tuple(point["customdata"]) for point in points if "customdata" in point]
    chosen = next(((model, int(level)) for model, level in clicked if model in comparisons), None) or worst(view)
    if chosen is None:
        return
    candidate, level = chosen
    comparison = comparisons[candidate]
    sigma = float(comparison.levels.loc[comparison.levels["level"] == level, "sigma"].iloc[0])
    st.subheader(plain(f"Where {candidate} loses most at sigma {number(sigma)}"))
    st.caption(
        "Squared error in the image, averaged over noise draws. Click a point of a curve to see another model or level."
    )
    images = worst_images(view.report.tables.evaluations, comparison.baseline, candidate, level)
    st.dataframe(images, hide_index=True, column_config={"image": "image id"})


def worst(view: View) -> tuple[str, int] | None:
    """The model and level of the largest ratio to the baseline."""
    tops = []
    for comparison in view.report.comparisons:
        top = comparison.levels.sort_values("ratio", ascending=False).head(1)
        tops += [
            (ratio, comparison.candidate, int(level)) for ratio, level in zip(top["ratio"], top["level"], strict=True)
        ]
    return max(tops)[1:] if tops else None
