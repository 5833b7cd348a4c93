"""Decisions kept beside the runs: what `gate` and `attribute` found, one JSON file each, never changed.

    runs/gates/20260131T093000123456Z_fail_0a1b2c3d4e5f_6a7b8c_RUN.json
    runs/attributions/20260131T094500654321Z_found_5f4e3d2c1b0a_8c7b6a_.json

A name says when, with what outcome, about what (a hash of the question), and of which run; six random digits keep apart
what several jobs file at one moment. So names sort by time, a listing is the index, and only what is shown is read.
reports/kept.py says what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import StoreError

GATES, ATTRIBUTIONS = "gates", "attributions"
MOST_BYTES = 32 * 2**20
"""A larger file is none of ours."""
_WORST_FIRST = ("fail", "incomparable", "inconclusive", "pass")
_TIME = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(
    r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\d{6}Z_([a-z]+)_([0-9a-f]{12})_[0-9a-f]{6}_(.*)\.json", re.ASCII | re.DOTALL
)


@dataclass(frozen=True)
class Entry:
    """A kept decision by its file's name."""

    path: Path
    when: str
    """ISO 8601, UTC."""
    outcome: str
    about: str
    """12 hex digits of `hashed`: decisions about the same thing share them."""
    run: str
    """Id of the run that was judged, or empty."""

    @property
    def id(self) -> str:
        """Its time and its six digits: "2026-01-31 09:30:00 6a7b8c"."""
        return f"{self.when[:19].replace('T', ' ')} {self.path.name.split('_', 4)[3]}"


def hashed(*question: str) -> str:
    """What a decision is about, as 12 hex digits."""
    return hashlib.sha256("\0".join(question).encode()).hexdigest()[:12]


def keep(root: Path, kind: str, outcome: str, about: str, run: str, text: str, now: datetime | None = None) -> Path:
    """File a decision under `root`, whole or not at all. Raises StoreError where that can't be written."""
    time = (now or datetime.now(UTC)).strftime(_TIME)
    path = root / kind / f"{time}_{outcome}_{about}_{secrets.token_hex(3)}_{run}.json"
    fresh = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise StoreError(f"{path.parent}: can't keep this decision: {error}") from error
    return path


def entries(root: Path, kind: str) -> list[Entry]:
    """The kept decisions of a kind, newest first; files of other names are passed over. Raises StoreError."""
    try:
        names = os.listdir(root / kind)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{root / kind}: can't be listed: {error}") from error
    found = (_entry(root / kind, name) for name in sorted(names, reverse=True))
    return [entry for entry in found if entry is not None]


def last_verdicts(root: Path) -> dict[str, str]:
    """By run id the outcome of its gates: of each question (which models against which baseline) the last answer,
    and of these the worst, so that passing against one baseline does not hide failing against another. Names alone are
    read: 10,000 of them take about a tenth of a second. Raises StoreError for a folder that can't be listed.
    """
    answers: dict[str, dict[str, str]] = {}
    for entry in entries(root, GATES):
        if entry.run and entry.outcome in _WORST_FIRST:
            answers.setdefault(entry.run, {}).setdefault(entry.about, entry.outcome)
    return {run: min(told.values(), key=_WORST_FIRST.index) for run, told in answers.items()}


def read(entry: Entry) -> bytes:
    """A decision's content. Raises StoreError."""
    try:
        size = entry.path.stat().st_size
        if size > MOST_BYTES:
            raise StoreError(f"{entry.path}: expected a decision of at most {MOST_BYTES:,} bytes, got {size:,}")
        return entry.path.read_bytes()
    except OSError as error:
        raise StoreError(f"{entry.path}: can't be read: {error}") from error


def _entry(folder: Path, name: str) -> Entry | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    *parts, outcome, about, run = match.groups()
    return Entry(folder / name, "{}-{}-{}T{}:{}:{}Z".format(*parts), outcome, about, run)
