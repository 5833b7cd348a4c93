"""Tables of gates and of runs: what they say is seen whole in a page of 1280 pixels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from sigmascope.dashboards import gates, runs
from sigmascope.dashboards.main import SIDEBAR
from sigmascope.reports.verdicts import Check, Outcome

from ..reports import synthetic
from .conftest import gate, light
from .test_pages import open_page

EDGES, BOXES = 2 * 32, 34
"""Pixels beside a table on its page, and of the boxes at its left."""


def test_the_columns_fill_the_page_and_no_more() -> None:
    assert sum(gates.WIDTHS.values()) <= 1280 - SIDEBAR - EDGES - BOXES


def test_a_long_check_makes_its_rows_higher() -> None:
    short = pd.DataFrame({name: ["fail"] for name in gates.WIDTHS})
    assert gates._height(short) == gates.LINES
    heights = [gates._height(short.assign(**{"worst check": "word " * words})) for words in (30, 45, 60, 1000)]
    assert gates.LINES <= heights[0] < heights[1] < heights[2]
    assert heights[3] == gates.LINES + gates.LINE * (gates.MOST_LINES - 3), "a novel is cut"


def test_the_same_run_is_not_named_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synthetic.write(light("one", models=("base", "digits-regressed")), tmp_path)
    gate(tmp_path, "one:base", "one:digits-regressed")
    app = open_page(monkeypatch, tmp_path, "gates")
    row = app.dataframe[0].value.iloc[0]
    assert (row["candidate"], row["against"]) == ("one: digits-regressed", "base")
    assert "higher than base" in row["worst check"]


def test_a_metric_is_named_and_advice_is_left_to_the_evidence() -> None:
    check = Check(
        metric="Distance", rule="noninferior", model="new", outcome=Outcome.FAIL,
        evidence="new: heun: 2.0 against 1.0; about 100 more would settle it",
    )  # fmt: skip
    verdict = SimpleNamespace(checks=[check], outcome=Outcome.FAIL)
    assert gates._worst(SimpleNamespace(verdict=verdict)) == "Distance: heun: 2.0 against 1.0"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("python:sigmascope.fixtures.digits:heldout", "digits:heldout"), ("python:data:test", "data:test"),
        ("/data/imagenet/val.npz", "val.npz"), ("../faces/", "faces"), ("", ""),
    ],
)  # fmt: skip
def test_data_are_named_by_their_end(source: str, said: str) -> None:
    assert runs._short(source) == said
