"""Which of many runs? Found by words, status, verdict, model, data and date; in order by any number; a click opens one.

The store's index -> `found`, by the filters -> `in_order` -> the first SHOWN as a table. No run is opened for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

import pandas as pd
import streamlit as st

from ..evals.kept import GATES, last_verdicts
from . import window
from .view import View, follow, plain

SHOWN = 500
ANY = "any"
TABLE = "runs-table"
ORDERS = {
    "newest first": ("created", False), "oldest first": ("created", True), "worst level first": ("worst", False),
    "name": ("name", True), "id": ("id", True), "status": ("status", True), "longest first": ("seconds", False),
    "commit": ("commit", True), "data": ("data", True),
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What the filters ask for; an empty word asks for nothing."""

    words: str = ""
    """Each of them in the id, the name, a model's name or the commit, in any case."""
    status: str = ""
    gate: str = ""
    model: str = ""
    data: str = ""
    since: str = ""
    """ISO dates; both days are in."""
    until: str = ""


def found(runs: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The rows of an index (Index.runs, with a column `gate`) that answer every filter, in their order."""
    keep = pd.Series(True, index=runs.index)
    for column in ("status", "gate", "data"):
        if getattr(wanted, column):
            keep &= runs[column] == getattr(wanted, column)
    if wanted.model:
        keep &= runs["models"].map(lambda models: wanted.model in models).astype(bool)
    if wanted.since:
        keep &= runs["created"].str[:10] >= wanted.since
    if wanted.until:
        keep &= runs["created"].str[:10] <= wanted.until
    if wanted.words.split():
        models = runs["models"].map(" ".join).astype(str)
        text = (runs["id"] + " " + runs["name"] + " " + models + " " + runs["commit"]).str.lower()
        for word in wanted.words.lower().split():
            keep &= text.str.contains(word, regex=False)
    return runs[keep]


def in_order(runs: pd.DataFrame, order: str) -> pd.DataFrame:
    """By one of ORDERS; what is missing stands last."""
    column, ascending = ORDERS[order]
    return runs.sort_values(column, ascending=ascending, kind="stable", na_position="last")


@st.fragment  # type: ignore[untyped-decorator]
def page(view: View) -> None:
    """The table with its filters, drawn alone when one of them changes, and the folders that can't be read."""
    last = verdicts(view)
    runs = view.index.runs.assign(gate=[last.get(one, "") for one in view.index.folders])
    wanted, order = _asked(runs)
    answer = in_order(found(runs, wanted), order)
    shown = answer.head(SHOWN)
    many = f"{SHOWN} of the {len(answer):,} found" if len(answer) > SHOWN else f"{len(answer):,}"
    st.caption(f"{many} of {len(runs):,} runs. A click on the left edge of a row opens its run.")
    table = _table(shown)
    first = window.first(table, "run", "gate", "worst level", "of")
    st.dataframe(
        table, hide_index=True, key=TABLE, on_select=partial(_opened, list(shown["id"])),
        selection_mode="single-row", column_config=_COLUMNS, column_order=first,
    )  # fmt: skip
    follow(view)
    if view.index.problems:
        with st.expander(f"{len(view.index.problems):,} folders can't be read"):
            for problem in view.index.problems[:SHOWN]:
                st.caption(plain(problem))


def verdicts(view: View) -> dict[str, str]:
    """The last gate's outcome of each run, read anew when a gate was filed."""
    try:
        filed = (view.root / GATES).stat().st_mtime_ns
    except OSError:
        return {}
    return dict(_verdicts(view.root, filed))


@st.cache_resource(max_entries=4, show_spinner=False)  # type: ignore[untyped-decorator]
def _verdicts(root: Any, filed: int) -> Mapping[str, str]:
    return last_verdicts(root)


def _asked(runs: pd.DataFrame) -> tuple[Wanted, str]:
    first, second, third, fourth = st.columns([2.4, 1, 1.2, 1], vertical_alignment="bottom")
    words = first.text_input(
        "Filter", key="runs_words", bind="query-params", placeholder="words of id, name, model, commit"
    )
    status = second.selectbox("Status", [ANY, *_values(runs["status"])], key="runs_status", bind="query-params")
    order = third.selectbox("Order", list(ORDERS), key="runs_order", bind="query-params")
    with fourth.popover("More", icon=":material/filter_list:", width="stretch"):
        gates = [ANY, *_values(runs["gate"])]
        gate = st.selectbox("Last gate", gates, key="runs_gate", bind="query-params")
        models = [ANY, *_values(runs["models"].explode())]
        model = st.selectbox("With model", models, key="runs_model", bind="query-params")
        data = st.selectbox("Data", [ANY, *_values(runs["data"])], key="runs_data", bind="query-params")
        since = st.date_input("From", value=None, key="runs_since", bind="query-params")
        until = st.date_input("Until", value=None, key="runs_until", bind="query-params")
    chosen = ("" if one == ANY else str(one) for one in (status, gate, model, data))
    return Wanted(words or "", *chosen, *(str(day or "") for day in (since, until))), str(order)


def _values(column: pd.Series[Any], most: int = 200) -> list[str]:
    """What stands in a column, the most frequent first."""
    return [str(one) for one in column.value_counts().head(most).index if one]


def _opened(ids: list[str]) -> None:
    for row in st.session_state[TABLE].selection.rows:
        st.session_state["run"] = ids[row]


def _table(runs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "created (UTC)": runs["created"].str[:16].str.replace("T", " "), "run": runs["id"],
            "status": runs["status"], "gate": runs["gate"], "worst level": 100 * (runs["worst"] - 1),
            "of": runs["worst_model"].fillna(""), "data": runs["data"].map(_short),
            "models": runs["models"].map(", ".join), "name": runs["name"], "commit": runs["commit"].str[:10],
            "minutes": runs["seconds"] / 60,
        }
    )  # fmt: skip


def _short(data: str) -> str:
    """The end of a source, which tells most: "python:package.digits:heldout" -> "digits:heldout"."""
    if data.startswith("python:"):
        module, _, function = data.removeprefix("python:").rpartition(":")
        return f"{module.rpartition('.')[2]}:{function}"
    return PurePath(data).name


_COLUMNS = {
    "worst level": st.column_config.NumberColumn(
        format="%+.2g%%", help="Largest change of a model's denoising error against the run's baseline, at one level."
    ),
    "data": st.column_config.TextColumn(help="The end of its name; whole ones are under More."),
    "minutes": st.column_config.NumberColumn(format="%.1f"),
}
