"""Where does this run stand? The models of all runs that can be compared with it, in order of one measure."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from ..evals.headlines import ALL_LEVELS
from ..metrics.directions import better
from ..reports.figures.overview import leaderboard as drawn
from ..reports.leaderboard import excerpt, measures, ranked
from . import window
from .downloads import offer
from .view import View, follow, show

FIGURE = "leaderboard-figure"
SHOWN = 200


@st.fragment  # type: ignore[untyped-decorator]
def page(view: View) -> None:
    own = view.index.runs.set_index("id")["protocol"].get(view.run.id, "")
    scores = view.index.scores(str(own))
    offered = measures(scores)
    if not offered:
        st.info("No run that can be compared with this one has numbers yet.")
        return
    measure = st.selectbox("Measure", offered, key="ranked_by", bind="query-params", width=360)
    table = ranked(scores, measure)
    alike, told = scores["id"].nunique(), ""
    if measure == ALL_LEVELS and len(table):
        told = f"Geometric mean over all {table['where'].iloc[0]}: History's number while its slider holds all. "
    st.caption(
        f"{told}{alike:,} of {len(view.index.runs):,} runs can be compared with this one: they share its data, levels, "
        f"seeds and features. {_tied(table)}"
    )
    top = excerpt(table, [view.run.id])
    figure = drawn(top, measure, better(measure), view.run.id, view.report.colours())
    show(figure, FIGURE, on_select=_opened, selection_mode="points")
    follow(view)
    offer(view, "leaderboard", figure, partial(_whole, table), _python(view, str(own), measure))
    listed = _whole(table.head(SHOWN))
    first = window.first(listed, "rank", "model", "value", "low", "high")
    st.dataframe(listed, hide_index=True, column_order=first)


def _tied(table: pd.DataFrame) -> str:
    """How many models' own intervals reach the first's: a coarser question than the report asks of pairs."""
    tied = int(table["tied"].iloc[1:].sum())
    return (
        f"Of {len(table):,} models {tied or 'none'} {'tie' if tied > 1 else 'ties'} with the first, by intervals of "
        "their own; a report, which compares image by image, tells more apart."
    )


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    tied = table["tied"] & (table["rank"] > 1)
    return table.drop(columns="tied").assign(tied=tied.map({True: "with the first", False: ""}))


def _python(view: View, protocol: str, measure: str) -> str:
    return "\n".join(
        (
            "from sigmascope import Store",
            "from sigmascope.reports.leaderboard import ranked",
            "",
            f"ranked(Store({str(view.root)!r}).index().scores({protocol!r}), {measure!r})",
        )
    )


def _opened() -> None:
    """A click on a point opens its run."""
    for point in st.session_state[FIGURE].selection.points:
        if point.get("customdata"):
            st.session_state["run"] = str(point["customdata"][0])
            return
