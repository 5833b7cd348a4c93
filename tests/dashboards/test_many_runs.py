"""A store of many runs: found by filters, ranked among those that can be compared, opened by a click or a link."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sigmascope.dashboards import view
from sigmascope.dashboards.runs import ORDERS, Wanted, found, in_order
from sigmascope.evals.headlines import ALL_LEVELS, WORST_LEVEL
from sigmascope.evals.index import refresh
from sigmascope.reports.figures.overview import leaderboard
from sigmascope.reports.leaderboard import excerpt, measures, ranked

from .test_pages import open_page, words

RUNS = pd.DataFrame(
    {
        "id": ["digits-1", "faces-2", "digits-3", "x-4"], "name": ["digits", "faces", "digits", "<b>"],
        "status": ["complete", "failed", "complete", "partial"], "gate": ["fail", "", "pass", ""],
        "models": [["eps", "v"], ["eps"], [], ["Flow"]], "commit": ["abc1", "", "abd2", ""],
        "data": ["python:d", "python:f", "python:d", ""], "worst": [1.3, np.nan, 1.01, np.nan],
        "created": ["2026-01-04T10:00:00", "2026-01-03T23:59:59", "2026-01-02T00:00:00", ""], "seconds": [1, 9, 3, 0],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(), ["digits-1", "faces-2", "digits-3", "x-4"]),
        (Wanted(words="DIGITS"), ["digits-1", "digits-3"]),
        (Wanted(words="digits abc"), ["digits-1"]),
        (Wanted(words="flow"), ["x-4"]),
        (Wanted(words=".*"), []),
        (Wanted(words="<b>"), ["x-4"]),
        (Wanted(status="failed"), ["faces-2"]),
        (Wanted(gate="pass"), ["digits-3"]),
        (Wanted(model="eps"), ["digits-1", "faces-2"]),
        (Wanted(model="ep"), []),
        (Wanted(data="python:d", status="complete"), ["digits-1", "digits-3"]),
        (Wanted(since="2026-01-03"), ["digits-1", "faces-2"]),
        (Wanted(since="2026-01-02", until="2026-01-03"), ["faces-2", "digits-3"]),
    ],
)
def test_filters_leave_what_answers_all_of_them(wanted: Wanted, ids: list[str]) -> None:
    assert found(RUNS, wanted)["id"].tolist() == ids
    assert found(RUNS.head(0), wanted).empty


def test_orders_put_what_is_missing_last() -> None:
    assert in_order(RUNS, "worst level first")["id"].tolist() == ["digits-1", "digits-3", "faces-2", "x-4"]
    for order in ORDERS:
        assert len(in_order(RUNS, order)) == len(RUNS)


def scores(measure: str, better: str, *rows: tuple[str, float, float, float, str]) -> pd.DataFrame:
    fixed = {"measure": measure, "better": better, "model": "m"}
    columns = ["id", "value", "low", "high", "where"]
    return pd.DataFrame([fixed | dict(zip(columns, row, strict=True)) for row in rows])


def test_the_best_is_first_and_ties_are_told() -> None:
    nan = float("nan")
    table = scores(
        "frechet_distance", "lower", ("a", 3.0, 2.0, 4.0, ""), ("b", 1.0, 0.5, 2.1, ""), ("c", 2.5, 2.2, 2.8, ""),
        ("d", 1.0, nan, nan, ""), ("e", nan, nan, nan, ""),
    )  # fmt: skip
    found = ranked(table, "frechet_distance")
    assert found["run"].tolist() == ["b", "d", "c", "a"], "missing is not ranked"
    assert found["rank"].tolist() == [1, 1, 3, 4]
    assert found["tied"].tolist() == [True, False, False, True], "by the intervals: c begins above the end of b's"
    high = ranked(table.assign(better="higher"), "frechet_distance")
    assert high["run"].tolist() == ["a", "c", "b", "d"]
    assert high["tied"].tolist() == [True, True, True, False]
    assert ranked(table, "another").empty


def test_means_over_other_levels_are_no_rivals() -> None:
    table = scores(
        ALL_LEVELS, "lower", ("a", 3.0, 2, 4, "24 levels"), ("b", 2.0, 1, 4, "24 levels"), ("c", 1, 0, 2, "3")
    )
    assert ranked(table, ALL_LEVELS)["run"].tolist() == ["b", "a"]
    both = pd.concat([scores("x", "", ("a", 1, 1, 1, "")), table, table.assign(measure=WORST_LEVEL)])
    assert measures(both) == [ALL_LEVELS, "x"], "a ratio to one's own baseline ranks nobody"


def test_the_leaderboard_shows_the_first_and_the_chosen_run() -> None:
    rows = [(f"r{number}", float(number), number - 0.5, number + 0.5, "") for number in range(40)]
    table = excerpt(ranked(scores("kid", "lower", *rows), "kid"), ["r33"], most=3)
    assert table["run"].tolist() == ["r0", "r1", "r2", "r33"]
    figure = leaderboard(table, "kid", "lower", "r33", {"m": "#0072B2"})
    assert list(figure.data[-1].x) == [0.0, 1.0, 2.0, 33.0]
    assert list(figure.data[3].x) == [32.5, 33.5]
    assert figure.data[-1].marker.color[-1] == "#0072B2"
    assert figure.layout.yaxis.ticktext[-1] == "<b><span style='color:#0072B2'>34. m · r33</span></b>"
    hostile = table.assign(model="<img src=x>", where="%{x}")
    shown = leaderboard(hostile, "<i>", "", "r0", {}).to_json()
    assert "<img" not in shown
    assert "<i>" not in shown
    assert leaderboard(table.head(0), "kid", "lower", "r0", {}).layout.annotations


@pytest.fixture(scope="module")
def many(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic run under 120 names, and a folder that can't be read."""
    root = tmp_path_factory.mktemp("many")
    source = next(path for path in store.iterdir() if path.is_dir() and not path.name.startswith("."))
    record = json.loads((source / "run.json").read_text())
    for number in range(120):
        folder = root / f"run-{number:03d}"
        folder.mkdir()
        for table in source.glob("*.parquet"):
            (folder / table.name).hardlink_to(table)
        own = {"id": folder.name, "created": f"2026-01-01T{number // 60:02d}:{number % 60:02d}:00+00:00"}
        (folder / "run.json").write_text(json.dumps(record | own))
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    return root


def test_the_box_of_runs_offers_the_newest_and_the_one_that_is_shown(
    monkeypatch: pytest.MonkeyPatch, many: Path
) -> None:
    app = open_page(monkeypatch, many)
    assert not app.exception
    newest = [f"run-{number:03d}" for number in range(119, 119 - view.RECENT, -1)]
    assert app.selectbox(key="run").options == newest
    older = open_page(monkeypatch, many, run="run-003")
    assert older.selectbox(key="run").value == "run-003"
    assert older.selectbox(key="run").options == [*newest, "run-003"]
    unknown = open_page(monkeypatch, many, run="nowhere")
    assert unknown.selectbox(key="run").value == "run-119"


def test_runs_are_found_by_words_and_one_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, many: Path
) -> None:
    app = open_page(monkeypatch, many, runs_words="run-00")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["run"].tolist() == [f"run-{number:03d}" for number in range(9, -1, -1)]
    assert table["worst level"].iloc[0] == pytest.approx(34, abs=4), "the planted regression"
    assert "10 of 120 runs" in words(app)
    assert "broken" in words(app)
    app.selectbox(key="runs_order").select("oldest first").run()
    assert app.dataframe[0].value["run"].iloc[0] == "run-000"


def test_a_run_is_ranked_among_its_like(monkeypatch: pytest.MonkeyPatch, many: Path) -> None:
    app = open_page(monkeypatch, many, look="Leaderboard")
    assert not app.exception
    assert "120 of 120 runs can be compared" in words(app)
    protocol = refresh(many).runs["protocol"].iloc[0]
    best = ranked(refresh(many).scores(protocol), ALL_LEVELS)
    assert app.dataframe[0].value["run"].head(200).tolist() == best["run"].head(200).tolist()
    assert len(best) == 4 * 120


def test_the_dashboard_never_loads_torch(many: Path) -> None:
    """Importing it takes seconds; nothing that draws stored numbers needs it."""
    code = (
        "import sys\nfrom sigmascope.dashboards import main\nfrom sigmascope.evals.store import Store\n"
        "from sigmascope.reports.report import assemble\n"
        f"assemble([Store({str(many)!r}).find('latest')]).overview()\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_removed_runs_leave_the_table(monkeypatch: pytest.MonkeyPatch, many: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for name in ("run-001", "run-002"):
        shutil.copytree(many / name, root / name)
    app = open_page(monkeypatch, root)
    assert app.selectbox(key="run").options == ["run-002", "run-001"]
    shutil.rmtree(root / "run-002")
    app.run()
    assert not app.exception
    assert app.selectbox(key="run").value == "run-001"
