"""The index says at every moment what reading every run would say, and reads no more than it must."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmascope.errors import StoreError
from sigmascope.evals import index
from sigmascope.evals.headlines import ALL_LEVELS, WORST_LEVEL, geometric_mean
from sigmascope.evals.records import TABLES, RunRecord
from sigmascope.evals.run import Run
from sigmascope.evals.store import Store

_clock = itertools.count(1)


def put(folder: Path, status: str = "complete", created: str = "2026-01-01", name: str = "n", **fields: object) -> None:
    """A run's record, written at a second of its own, long ago: settled."""
    record = RunRecord(
        id=folder.name, name=name, status="complete", created=created, seconds=1, suite={"data": {"source": "digits"}},
        baseline="a", models=[], fingerprint={"data": "x"}, environment={"commit": "c0ffee"}, cells=[],
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({**record.model_dump(), "status": status, **fields}))
    settle(folder / "run.json")


def settle(path: Path) -> None:
    os.utime(path, ns=(10**9 * (long_ago := next(_clock)), 10**9 * long_ago))


def scanned(root: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The reference: every run.json read; readable runs, newest first, and the problems of the others."""
    runs, problems = [], []
    for path in sorted(root.glob("[!.]*/run.json")):
        whole = path.parent.with_name(path.parent.name.removesuffix(".partial"))
        if whole != path.parent and (whole / "run.json").is_file():
            continue
        run = Run(path.parent)
        try:
            runs.append((run.record.created, run.id, run.record.status))
        except StoreError as error:
            problems.append(str(error))
    return sorted(runs, reverse=True), problems


def indexed(root: Path) -> tuple[list[tuple[str, str, str]], list[str]]:
    found = index.refresh(root)
    runs = found.runs
    return list(zip(runs["created"], runs["id"], runs["status"], strict=True)), found.problems


NAMES = st.sampled_from(["a", "ab", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.sampled_from(["2026-01-01", "2026-02-01", "é", ""])),
        st.tuples(st.just("partial"), NAMES, st.sampled_from(["partial", "failed"])),
        st.tuples(st.just("finish"), NAMES, st.just("")),
        st.tuples(st.just("remove"), NAMES, st.sampled_from(["", ".partial"])),
        st.tuples(st.just("break"), NAMES, st.sampled_from(["{", '{"schema_version": 99}', ""])),
        st.tuples(st.just("forget"), NAMES, st.sampled_from(["memory", "file", "damage", "version"])),
        st.tuples(st.just("look"), NAMES, st.just("")),
    ),
    max_size=12,
)


def act(root: Path, what: str, name: str, detail: str) -> None:
    folder, partial = root / name, root / f"{name}.partial"
    if what == "put":
        put(folder, created=detail)
    elif what == "partial":
        put(partial, detail)
    elif what == "finish" and partial.exists() and not folder.exists():
        shutil.copytree(partial, folder)
        put(folder)
        if len(name) > 1:  # else it is killed before the partial folder is dropped
            shutil.rmtree(partial)
    elif what == "remove":
        shutil.rmtree(root / (name + detail), ignore_errors=True)
    elif what == "break":
        put(folder)
        (folder / "run.json").write_text(detail)
        settle(folder / "run.json")
    elif what == "forget":
        index._known.clear()
        file = root / index.NAME
        if detail == "file":
            file.unlink(missing_ok=True)
        elif detail == "damage" and file.exists():
            file.write_bytes(file.read_bytes()[:-9])
        elif detail == "version" and file.exists():
            table = pq.read_table(file)
            pq.write_table(table.slice(1).replace_schema_metadata({"version": "0"}), file)
    elif what == "look":
        index.refresh(root)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_index_is_a_full_scan_after_any_changes(steps: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for step in steps:
            act(root, *step)
        assert indexed(root) == scanned(root)
        index._known.clear()
        assert indexed(root) == scanned(root), "as another process sees it"
        assert [run.id for run in Store(root).runs()] == [one[1] for one in scanned(root)[0]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders whose run.json was read."""
    folders: list[str] = []
    made = index._row
    monkeypatch.setattr(index, "_row", lambda folder, stamp: folders.append(folder.name) or made(folder, stamp))
    return folders


def test_only_what_changed_is_read(tmp_path: Path, read: list[str]) -> None:
    for name in "abc":
        put(tmp_path / name)
    first = index.refresh(tmp_path)
    assert index.refresh(tmp_path) is first
    assert sorted(read) == ["a", "b", "c"]
    put(tmp_path / "b", created="2027")
    shutil.rmtree(tmp_path / "c")
    assert index.refresh(tmp_path).runs["id"].tolist() == ["b", "a"]
    assert read[3:] == ["b"]
    index._known.clear()
    index.refresh(tmp_path)
    assert read[4:] == [], "another process believes the file"


def test_what_was_just_written_is_read_again(tmp_path: Path, read: list[str]) -> None:
    """Within one tick of the clock a file may change and keep its time and size."""
    put(tmp_path / "a", created="2026")
    path, now = tmp_path / "a" / "run.json", time.time_ns()
    os.utime(path, ns=(now, now))
    index.refresh(tmp_path)
    path.write_text(path.read_text().replace("2026", "2027"))
    os.utime(path, ns=(now, now))
    assert index.refresh(tmp_path).runs["created"].tolist() == ["2027"]
    os.utime(path, ns=(now - index.SETTLED, now - index.SETTLED))
    index.refresh(tmp_path)
    read.clear()
    index.refresh(tmp_path)
    assert read == [], "by then it is believed"


def test_a_store_that_cannot_be_written_works_in_memory(tmp_path: Path, read: list[str]) -> None:
    (tmp_path / index.NAME).mkdir()  # nothing can be renamed to it
    put(tmp_path / "a")
    assert index.refresh(tmp_path) is index.refresh(tmp_path)
    assert read == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [index.NAME, "a"], "nothing is left lying"


def test_what_the_system_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right to read comes back without the file being written."""
    put(tmp_path / "a")

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        assert len(index.refresh(tmp_path).problems) == 1
    assert index.refresh(tmp_path).runs["id"].tolist() == ["a"]


def test_an_index_that_names_a_folder_twice_is_made_anew(tmp_path: Path, read: list[str]) -> None:
    put(tmp_path / "a")
    table = index.refresh(tmp_path).table
    pq.write_table(pa.concat_tables([table, table]), tmp_path / index.NAME)
    index._known.clear()
    assert index.refresh(tmp_path).runs["id"].tolist() == ["a"]
    assert read == ["a", "a"]


def test_many_at_once_do_no_harm(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"r{number}")
    seen: list[int] = []

    def look() -> None:
        for _ in range(5):
            index._known.clear()
            seen.append(len(index.refresh(tmp_path).runs))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {20}
    assert [path.name for path in tmp_path.glob(".*")] == [index.NAME]


def test_an_index_of_foreign_folders_names_none_of_them(tmp_path: Path) -> None:
    """A crafted file can't make a store list what does not lie in it."""
    put(tmp_path / "outside" / "a")
    put(tmp_path / "store" / "b")
    table = index.refresh(tmp_path / "outside").table
    forged = table.set_column(0, "folder", [["../outside/a"]])
    pq.write_table(forged.replace_schema_metadata(index.SCHEMA.metadata), tmp_path / "store" / index.NAME)
    assert index.refresh(tmp_path / "store").runs["id"].tolist() == ["b"]


def test_headlines_are_those_of_the_tables(tmp_path: Path) -> None:
    put(tmp_path / "a")
    sigma, error = np.array([0.1, 1.0, 10.0]), np.array([0.01, 0.2, 0.9])
    rows = [(name, level, sigma[level], error[level] * factor[level]) for name, factor in FACTORS for level in range(3)]
    levels = pd.DataFrame(rows, columns=["model", "level", "sigma", "error"])
    levels = levels.assign(low=levels["error"] / 2, high=levels["error"] * 2).reindex(columns=TABLES["levels"])
    levels.to_parquet(tmp_path / "a" / "levels.parquet")
    metrics = pd.DataFrame(
        {
            "model": "a", "metric": ["frechet_distance", "frechet_distance", "inception_score", "inception_score", "x"],
            "value": [3.0, 2.0, 5.0, 6.0, np.nan], "low": [2.5, np.nan, 4.0, 5.5, 0.0], "sampler": "heun",
            "high": [3.5, np.nan, 6.0, 6.5, 0.0], "steps": [5, 10, 5, 10, 5],
        }
    )  # fmt: skip
    metrics.reindex(columns=TABLES["metrics"]).to_parquet(tmp_path / "a" / "metrics.parquet")
    found = index.refresh(tmp_path)
    scores = found.scores(found.runs["protocol"].iloc[0]).set_index(["model", "measure"])
    whole = 0.0018 ** (1 / 3)
    np.testing.assert_allclose(scores.loc[("a", ALL_LEVELS), "value"], whole, rtol=1e-12)
    np.testing.assert_allclose(scores.loc[("a", ALL_LEVELS), ["low", "high"]].astype(float), [whole / 2, whole * 2])
    np.testing.assert_allclose(scores.loc[("b", ALL_LEVELS), "value"], whole * 1.5 ** (1 / 3), rtol=1e-12)
    assert scores.loc[("b", WORST_LEVEL), ["value", "where"]].tolist() == [pytest.approx(1.5), "sigma 1"]
    assert scores.loc[("a", "frechet_distance"), ["value", "where"]].tolist() == [2.0, "heun, 10 steps"]
    assert np.isnan(scores.loc[("a", "frechet_distance"), "low"])
    assert scores.loc[("a", "inception_score"), ["better", "value"]].tolist() == ["higher", 6.0]
    assert ("a", "x") not in scores.index, "missing is not scored"
    facts = found.runs.loc[0, ["worst", "worst_model", "data", "commit"]].tolist()
    assert facts == [
        pytest.approx(1.5),
        "b",
        "digits",
        "c0ffee",
    ]
    assert found.scores("another").empty


FACTORS = (("a", (1.0, 1.0, 1.0)), ("b", (1.0, 1.5, 1.0)))


def test_a_run_whose_tables_are_damaged_is_listed_without_numbers(tmp_path: Path) -> None:
    put(tmp_path / "a")
    (tmp_path / "a" / "levels.parquet").write_bytes(b"PAR1 no")
    put(tmp_path / "b")
    pd.DataFrame({name: ["word"] for name in TABLES["levels"]}).to_parquet(tmp_path / "b" / "levels.parquet")
    found = index.refresh(tmp_path)
    assert found.runs["id"].tolist() == ["b", "a"]
    assert found.scores(found.runs["protocol"].iloc[0]).empty


def test_a_mean_of_what_is_missing_is_missing() -> None:
    assert np.isnan(geometric_mean([1.0, float("nan")]))
    assert np.isnan(geometric_mean([1.0, 0.0])), "nothing is clamped"
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
