"""What was decided, by what, and on which evidence? The gates kept beside the runs; under them how a metric moved."""

from __future__ import annotations

import html
import math
import shlex
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from ..errors import StoreError
from ..evals.kept import GATES, Entry, entries
from ..reports.figures import style
from ..reports.figures.grounds import both
from ..reports.kept import KeptGate, Side, read_gate
from ..reports.policy import DENOISING_ERROR
from ..reports.text import plain as flat
from ..reports.verdicts import Outcome
from . import window
from .history import history
from .view import View, plain
from .ways import lead

ROWS = 8
"""Gates shown at once: no others are read."""
ANY = "any"
WORDS = {Outcome.FAIL: "worse", Outcome.PASS: "better"}
"""What the other pages call it, in whose ink it stands."""
TABLE = "gates-table"
LINES = 66
"""Pixels of a row of up to three lines, in which long words wrap; each line more takes LINE."""
LINE, LETTER, MOST_LINES = 20, 6.2, 6
WIDTHS = {"when (UTC)": 122, "verdict": 94, "candidate": 140, "against": 135, "worst check": 345, "policy": 85}
"""Pixels, which are a page's beside the sidebar at 1280."""


def page(view: View) -> None:
    st.subheader("Gates")
    _gates(view)
    st.subheader("History")
    history(view)


def _gates(view: View) -> None:
    try:
        kept = entries(view.root, GATES)
    except StoreError as error:
        st.error(plain(str(error)))
        return
    if not kept:
        _none_yet(view)
        return
    read: dict[str, KeptGate] = {}
    for entry in _shown(kept):
        try:
            read[entry.id] = read_gate(entry)
        except StoreError as error:
            st.warning(plain(str(error)))
    if not read:
        st.info("No gate answers this search.")
        return
    colours, table = [_ink(gate.verdict.outcome, window.theme()) for gate in read.values()], _table(read)
    st.dataframe(
        table.style.apply(lambda _: [f"color: {one}; font-weight: 600" for one in colours], subset=["verdict"]),
        hide_index=True, key=TABLE, on_select=partial(_clicked, list(read)), selection_mode="single-row",
        row_height=_height(table), column_order=window.first(table, "verdict", "worst check"),
        column_config={name: st.column_config.TextColumn(width=width) for name, width in WIDTHS.items()},
    )  # fmt: skip
    _evidence(view, read[st.selectbox("Gate", list(read), key="gate", bind="query-params")])


def _ink(outcome: Outcome, theme: style.Theme = "light") -> str:
    return style.verdict(WORDS.get(outcome, ""), theme)


def _shown(kept: list[Entry]) -> list[Entry]:
    """A page of those that the search leaves, and the chosen one where it is on another page."""
    if len(kept) <= ROWS:
        return kept
    first, second, third = st.columns([1, 2, 1])
    outcome = first.selectbox("Verdict", [ANY, *(one.value for one in Outcome)], key="verdict", bind="query-params")
    words = second.text_input("Run", key="gated", bind="query-params", placeholder="part of a candidate's id")
    kept = [one for one in kept if outcome in (ANY, one.outcome) and (words or "") in one.run]
    pages = max(1, -(-len(kept) // ROWS))
    if st.session_state.get("gates_page", 1) > pages:
        st.session_state["gates_page"] = pages
    number = int(third.number_input(f"Page, of {pages:,}", 1, pages, key="gates_page", bind="query-params"))
    chosen = st.session_state.get("gate") or st.query_params.get("gate")
    shown = kept[(number - 1) * ROWS : number * ROWS]
    return [*shown, *(one for one in kept if one.id == chosen and one not in shown)]


def _table(gates: dict[str, KeptGate]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "when (UTC)": gate.when[:16].replace("T", " "), "verdict": gate.verdict.outcome.value,
                "candidate": flat(_named(gate.candidate)), "against": flat(_against(gate)),
                "worst check": flat(_worst(gate)), "policy": flat(Path(gate.policy).name),
            }
            for gate in gates.values()
        ]
    )  # fmt: skip


def _height(table: pd.DataFrame) -> int:
    """Pixels of a row in which the longest text of all is seen whole."""
    longest = {name: table[name].str.len().max() * LETTER / (width - 16) for name, width in WIDTHS.items()}
    lines = min(math.ceil(max(longest.values())), MOST_LINES)
    return LINES + LINE * max(lines - 3, 0)


def _worst(gate: KeptGate) -> str:
    """What the check that decided found, the model's name not said again; of a pass how many there were. More of it
    stands below the table.
    """
    checks = gate.verdict.checks
    decisive = [check for check in checks if check.outcome is gate.verdict.outcome]
    if gate.verdict.outcome is Outcome.PASS or not decisive:
        return f"{len(decisive)} of {len(checks)} checks passed"
    first = decisive[0]
    found = first.evidence.removeprefix(f"{first.model}: ").partition("; ")[0]
    return found if first.metric == DENOISING_ERROR else f"{first.metric}: {found}"


def _clicked(shown: list[str]) -> None:
    """A click on a row chooses its gate."""
    for row in st.session_state[TABLE].selection.rows:
        st.session_state["gate"] = shown[row]


def _evidence(view: View, gate: KeptGate) -> None:
    """Every check with what speaks for it, the worst first, and the ways to the runs."""
    order = list(Outcome)
    checks = sorted(gate.verdict.checks, key=lambda check: order.index(check.outcome))
    rows = [
        f'<div class="finding">'
        f'<b style="color:{both(_ink(check.outcome))}">{check.outcome.value}</b>'
        f"<span>{html.escape(flat(check.evidence))}<br><small style='opacity:.7'>"
        f"{html.escape(flat(' · '.join(part for part in (check.metric, check.rule, check.where) if part)))}"
        "</small></span></div>"
        for check in checks
    ]
    st.html("".join(rows))
    for condition in gate.report.conditions:
        st.caption(plain(condition))
    _ways(view, gate)
    if gate.report.command:
        st.code(gate.report.command, language="bash", wrap_lines=True)


def _ways(view: View, gate: KeptGate) -> None:
    """To the pages of the runs that were judged, where they are still here."""
    here = view.index.folders
    base, candidate = gate.baseline, gate.candidate
    if candidate.run not in here:
        gone = f"The run {candidate.run} is not in this folder." if candidate.run else "This gate kept no run."
        st.caption(plain(gone))
        return
    same = base.run == candidate.run
    with st.container(horizontal=True):
        if same:
            beside = {"run": base.run, "baseline": base.models[0], "candidate": candidate.models[0]}
            lead(view, "compare", "Compare them", **beside)
        elif base.run in here:
            lead(view, "compare", "Compare them", run=base.run, baseline=base.models[0], **{"with": candidate.run})
        shown = {"run": candidate.run, "baseline": base.models[0]} if same else {"run": candidate.run}
        lead(view, "noise-levels", "Noise levels of the candidate", **shown)


def _none_yet(view: View) -> None:
    names = [model.name for model in view.run.record.models]
    base = view.report.tables.baseline
    others = [name for name in names if name != base] or ["CANDIDATE"]
    st.info("No gate has been kept here yet. Each run of `sigmascope gate` files one beside the runs:")
    first, second = (shlex.quote(f"{view.run.id}:{name}") for name in (others[-1], base))
    flags = f"--baseline {second} --policy gate.toml --runs {shlex.quote(str(view.root))}"
    st.code(f"sigmascope gate {first} {flags}", language="bash", wrap_lines=True)


def _against(gate: KeptGate) -> str:
    """The baseline, its run not said again where it is the candidate's."""
    same = gate.baseline.run == gate.candidate.run and len(gate.baseline.models) == 1
    return gate.baseline.models[0] if same and gate.baseline.run else _named(gate.baseline)


def _named(side: Side) -> str:
    """As it was named where that says more than the run's id: a baseline file, a model without a run."""
    if side.reference.endswith(".json") or not side.run:
        return side.reference
    return f"{side.run}: {side.models[0]}" if len(side.models) == 1 else side.run
