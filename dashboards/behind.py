"""Behind a point of a curve: which images show it. Their pictures, and the table of those that lose most there."""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ..reports import tables
from ..reports.compare import Comparison
from ..reports.figures.strips import First, paired
from ..reports.numbers import percent
from .view import View, plain, show

ORDERS: dict[First, str] = {"losses": "loses most", "hardest": "hardest"}
LISTED = 8
"""Images in the table."""
SAME = 5e-4
"""A relative change that is written as 0.0%."""
STRIP, TABLE = "worst-figure", "losses-table"


def images_behind(view: View, of: str, at: int) -> None:
    """The strip of a model's images at one level, and beside a baseline the images that lose most against it."""
    comparison = next((one for one in view.report.comparisons if one.candidate == of), None)
    losses, same = None, False
    first: First = "hardest"
    kept = view.report.worst(of)[0]
    if comparison is not None:
        losses = _losses(view, comparison, at)
        same = len(losses) > 0 and (losses["candidate"] / losses["baseline"] - 1).abs().max() <= SAME
        order, chosen = st.columns([1.5, 1])
        first = order.segmented_control(
            "Show first", list(ORDERS), default="losses", required=True, key="first", bind="query-params",
            format_func=ORDERS.__getitem__,
        )  # fmt: skip
    else:
        chosen = st.container()
    image = _chosen(chosen, kept, losses)
    if image is not None and (kept["image"] == image).any():
        _strip(view.report.kept_image(of, image))
        st.caption(f"Image {image} at the noise levels where this model kept it. {NAMED}")
    else:
        if image is not None:
            st.caption(f"No picture of image {image}: a run keeps a few of each level, and {plain(of)} not this one.")
        _strip(view.report.worst_images(of, at, first=first))
        st.caption(_said(view, None if same else comparison, of, at, first))
    if comparison is None or losses is None:
        return
    if same:
        st.info("No difference at this level: every image has the baseline's error.", icon=":material/equal:")
    else:
        _table(view, comparison, at, losses)


NAMED = "Squared errors: the baseline's → the model's."
LEARN = "Click an image to follow it through the levels."


def _said(view: View, comparison: Comparison | None, of: str, at: int, first: str) -> str:
    """Which images these are, and how many of those that were kept."""
    own = view.report.worst(of, at)[0]
    if comparison is None or own.empty:
        return f"The largest squared errors at this level: image (class), error. {LEARN}"
    rows = paired(own, view.report.worst(comparison.baseline, at)[0], "losses")
    both = int(rows["base"].notna().sum())
    if first == "losses" and not both:
        return f"No image was kept by both models at this level; these are the model's hardest. {LEARN}"
    order = f"Of the {both} images that both models kept here, those that lose most first."
    if first == "hardest":
        order = f"The hardest of the {len(own)} images kept of this model, those first that the baseline kept too."
    return f"{order} {NAMED} {LEARN}"


def _losses(view: View, comparison: Comparison, at: int) -> pd.DataFrame:
    """Every image that both models saw at the level, the largest loss first."""
    rows = view.report.tables.evaluations
    return tables.worst_images(rows, comparison.baseline, comparison.candidate, at, count=len(rows))


def _chosen(place: st.delta_generator.DeltaGenerator, kept: pd.DataFrame, losses: pd.DataFrame | None) -> int | None:
    """The image to follow, of those that were kept or lose most, or that a click or an address named."""
    known = set(kept["image"].astype(int)) | set([] if losses is None else losses["image"].astype(int))
    held = st.session_state.get("image")
    known |= {int(held)} if held is not None else set()
    chosen = place.selectbox(
        "Image", sorted(known), index=None, placeholder="all", key="image", bind="query-params",
        help="One image at every level at which its picture was kept.",
    )  # fmt: skip
    return None if chosen is None else int(chosen)


def _strip(figure: go.Figure) -> None:
    show(figure, STRIP, on_select=_clicked, selection_mode="points")


def _clicked() -> None:
    for point in st.session_state[STRIP].selection.points:
        if len(point.get("customdata", ())) == 1:
            st.session_state["image"] = int(point["customdata"][0])
            return


def _table(view: View, comparison: Comparison, at: int, losses: pd.DataFrame) -> None:
    """The images that lose most, in the column's width; a click on one shows it."""
    changes = losses["candidate"] / losses["baseline"]
    losing = losses[changes > 1 + SAME].head(LISTED)
    if losing.empty:
        st.caption("No image loses against the baseline at this level.")
        return
    own = view.report.worst(comparison.candidate, at)[0]
    rows = paired(own, view.report.worst(comparison.baseline, at)[0], "losses")
    shown = set(rows.loc[rows["base"].notna(), "image"])
    pictured = int(losing["image"].isin(shown).sum())
    st.markdown(plain(f"Lose most against {comparison.baseline}"))
    named = [f"{row.image} ({row.label})" if row.label >= 0 else f"{row.image}" for row in tables.each(losing)]
    table = pd.DataFrame(
        {
            "image": named,
            "baseline": losing["baseline"], "model": losing["candidate"],
            "change": [percent(ratio) for ratio in changes[losing.index]],
        }
    )  # fmt: skip
    narrow = st.column_config.NumberColumn(format="%.3g", width=60)
    st.dataframe(
        table, hide_index=True, key=TABLE, selection_mode="single-cell", height=35 * (len(table) + 1) + 3,
        on_select=partial(_picked, [int(one) for one in losing["image"]]),
        column_config={
            "image": st.column_config.TextColumn("image (class)", width=88), "baseline": narrow, "model": narrow,
            "change": st.column_config.TextColumn(width=50),
        },
    )  # fmt: skip
    have = "1 has" if pictured == 1 else f"{pictured or 'none'} have"
    some = f"Of the {len(losing)} here, {have} pictures of both models: a run keeps a few of each level."
    whole = "Each of these has pictures of both models."
    st.caption(f"Squared errors at this level, of {len(losses)} images. {whole if pictured == len(losing) else some}")


def _picked(images: list[int]) -> None:
    """A click on a row chooses its image."""
    for row, _ in st.session_state[TABLE].selection.cells:
        if row < len(images):
            st.session_state["image"] = images[row]
