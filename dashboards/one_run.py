"""In place of a history while there is one run alone: where its models stand, and how a second one is made."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from ..metrics.directions import better
from ..reports.history import Series
from ..reports.numbers import MISSING, interval, percent
from ..reports.policy import DENOISING_ERROR
from .view import View, plain


def one_run(view: View, series: Sequence[Series], quantity: str, told: str) -> None:
    """A row a model, the best first. quantity: what the number is, with its unit; told: what it is a mean over."""
    st.markdown(
        "**One run so far.** A history begins with the second that can be compared with it: the same suite again, "
        "after a change of a model's weights or code."
    )
    st.code(f"sigmascope run SUITE.toml --out {shlex.quote(view.root.name or '.')}", language="bash")
    st.dataframe(
        standing(series, quantity, view.report.tables.baseline), hide_index=True, width="content",
        column_config={quantity: st.column_config.NumberColumn(format="%.3g")},
    )  # fmt: skip
    st.caption(plain(told))


def standing(series: Sequence[Series], quantity: str, baseline: str) -> pd.DataFrame:
    """Model, value, 95% interval, and change against the baseline, in the order of the metric's direction."""
    values = {one.model: one.points[-1] for one in series}
    base = values[baseline].value if baseline in values else math.nan
    rows = [
        {
            "model": model, quantity: point.value, "95% interval": interval(point.low, point.high) or MISSING,
            f"against {baseline}": "baseline" if model == baseline else percent(point.value / base) if base > 0 else "",
        }
        for model, point in values.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    return table.sort_values(quantity, ascending=better(series[0].metric) != "higher", kind="stable", ignore_index=True)


def mean_over(view: View, series: Sequence[Series], everywhere: bool) -> str:
    """What a number is of or a mean over; everywhere: of all noise levels, as the Leaderboard's is."""
    if not series:
        return ""
    setting = f"{series[0].setting[:1].upper()}{series[0].setting[1:]}"
    if series[0].metric != DENOISING_ERROR:
        return f"{setting}."
    levels = view.report.tables.levels["level"].nunique()
    beside = "as on the Leaderboard" if everywhere else f"where the Leaderboard takes all {levels}"
    return f"{setting}, {beside}."
