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
