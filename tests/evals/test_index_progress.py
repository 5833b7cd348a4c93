"""Reading many new runs tells how far it is, and what was read is not read again after it was broken off."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.evals import index
from sigmascope.evals.store import Store

from .test_index import put


def test_what_was_read_before_a_break_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(7):
        put(tmp_path / f"run-{number}", created=f"2026-01-0{number + 1}")
    read: list[str] = []
    make = index._row

    def counted(folder: Path, stamp: index.Stamp) -> dict[str, object]:
        read.append(folder.name)
        return make(folder, stamp)

    monkeypatch.setattr(index, "_row", counted)
    monkeypatch.setattr(index, "AT_ONCE", 3)
    told: list[tuple[int, int]] = []

    def until_the_second(done: int, runs: int) -> None:
        told.append((done, runs))
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).index(until_the_second)
    assert told == [(0, 7), (3, 7), (6, 7)]
    assert len(read) == 6
    assert not (tmp_path / index.NAME).exists(), "half an index is not written"
    folders = Store(tmp_path).index(until_the_second).folders
    assert told[3:] == [(0, 1)], "the seventh alone was left"
    assert sorted(read) == [f"run-{number}" for number in range(7)]
    assert list(folders) == [f"run-{number}" for number in reversed(range(7))], "newest first, whatever was read first"
    assert (tmp_path / index.NAME).exists()


def test_with_patience_finished_runs_are_not_asked_again_but_what_appears_is_seen(tmp_path: Path) -> None:
    put(tmp_path / "run-1")
    index.refresh(tmp_path)  # writes its own file beside the run, so that the next looks once more
    known = index.refresh(tmp_path, patience=60)
    assert index.refresh(tmp_path, patience=60) is known
    put(tmp_path / "run-1", name="and again")
    assert index.refresh(tmp_path, patience=60) is known, "nobody asks it"
    assert index.refresh(tmp_path).runs["name"].tolist() == ["and again"], "but without patience"
    put(tmp_path / "run-2", created="2026-01-02")
    assert list(index.refresh(tmp_path, patience=60).folders) == ["run-2", "run-1"]
    put(tmp_path / "run-3.partial", created="2026-01-03", status="partial")
    index.refresh(tmp_path)
    index.refresh(tmp_path, patience=60)
    put(tmp_path / "run-3.partial", created="2026-01-03", status="failed")
    assert index.refresh(tmp_path, patience=60).runs["status"].tolist()[0] == "failed", (
        "one in progress is always asked"
    )
