"""How a run goes, told beside it while it lasts: a log that stays with the run, and what is at work this moment.

runner -> Journal -> PARTIAL/log.txt, PARTIAL/progress.json -> log, progress, state -> the dashboard's Run page

A run never fails for its journal: what can't be written is left out.
"""

from __future__ import annotations

import re
import time
import traceback
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ModelError
from .run import Run

LOG, PROGRESS = "log.txt", "progress.json"
LOG_BYTES = 1 << 18
"""A log beyond so many bytes loses its older half."""
ENTRY = 8000
"""Characters of an error's message, its first, and of its traceback, its last: they say most."""
_SECOND = 1.0
"""How often progress is written, at most."""

State = Literal["complete", "running", "interrupted", "failed"]


class Progress(BaseModel):
    """What a session is at work on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    """Of the cell."""
    done: int
    """Network evaluations, those of earlier sessions included."""
    total: int
    before: int
    """Those of earlier sessions."""
    seconds: float
    """Of this session."""

    @property
    def rate(self) -> float | None:
        """Network evaluations a second in this session; None before there are any."""
        made = self.done - self.before
        return made / self.seconds if made > 0 and self.seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds to the end at this rate; None before there is one."""
        return None if self.rate is None else (self.total - self.done) / self.rate


class Journal:
    """Of one session in the folder of an unfinished run; a context, which logs warnings and what ended the session."""

    def __init__(self, folder: Path, total: int) -> None:
        self.folder, self.total = folder, total
        self._began, self._written = time.perf_counter(), 0.0
        self._title, self._done, self._before = "", 0, 0
        self._told: set[str] = set()
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> Journal:
        self._warnings.__enter__()
        shown = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            self._once(f"{category.__name__}: {message}")
            shown(message, category, *where, **more)

        warnings.showwarning = tell
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._warnings.__exit__(kind, error, at)
        if error is not None and not isinstance(error, ModelError):  # which its cells have told
            self.say(f"session ended by {type(error).__name__}\n{_told(error)}")
        with suppress(OSError):
            (self.folder / PROGRESS).unlink(missing_ok=True)

    def say(self, text: str) -> None:
        """One entry of the log, after the time in UTC; further lines are set in."""
        when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        first, *more = without_places(text).splitlines() or [""]
        lines = [f"{when}  {first}", *(f"    {line}" for line in more)]
        with suppress(OSError):
            path = self.folder / LOG
            with path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            if path.stat().st_size > LOG_BYTES:
                kept = path.read_text(encoding="utf-8", errors="replace")[-LOG_BYTES // 2 :].partition("\n")[2]
                path.write_text(f"{when}  (earlier lines are left out)\n{kept}", encoding="utf-8")

    def resumed(self, evaluations: int) -> None:
        """So much was done by earlier sessions."""
        self._before = self._done = evaluations

    def begin(self, title: str) -> None:
        self._title = title
        self.say(f"begin   {title}")
        self._write()

    def advance(self, evaluations: int) -> None:
        self._done += evaluations
        if time.perf_counter() - self._written >= _SECOND:
            self._write()

    def done(self, title: str, seconds: float, evaluations: int) -> None:
        rate = f", {evaluations / seconds:,.0f}/s" if seconds > 0 else ""
        self.say(f"done    {title}: {evaluations:,} network evaluations in {seconds:.1f} s{rate}")
        self._write()

    def failed(self, title: str, error: BaseException) -> None:
        self.say(f"FAILED  {title}: {_told(error)}")

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.say(f"warning {text}")

    def _write(self) -> None:
        self._written = time.perf_counter()
        now = Progress(
            title=self._title, done=self._done, total=self.total, before=self._before,
            seconds=self._written - self._began,
        )  # fmt: skip
        with suppress(OSError):
            fresh = self.folder / f"{PROGRESS}.new"
            fresh.write_text(now.model_dump_json())
            fresh.replace(self.folder / PROGRESS)


def progress(run: Run) -> Progress | None:
    """What is at work, or was when a session was killed; None for a run that isn't in progress."""
    try:
        return Progress.model_validate_json((run.folder / PROGRESS).read_bytes())
    except (OSError, ValidationError):
        return None


def log(run: Run) -> str:
    """All sessions' entries; empty for a run that kept no log."""
    try:
        return (run.folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def state(run: Run) -> State:
    """Running while a session holds the run's lock, whatever failed; without one, interrupted or failed."""
    if run.record.status == "complete":
        return "complete"
    if _held(run.folder.parent / f".{run.id}.lock"):
        return "running"
    return "failed" if run.record.status == "failed" and not run.record.pending else "interrupted"


def _held(lock: Path) -> bool:
    """Whether a session holds it. Asked by a lock that readers share, on a file opened to read: nothing is left."""
    import fcntl  # not on Windows, where filelock's locks are others

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_PATH = re.compile(r"(?<![\w.:/~])(?:/[\w.+@-]+)+/(?=[\w.+@-]+/[\w.+@-]+)")


def without_places(text: str) -> str:
    """The same with the last two parts of every absolute path alone: a run is shown to others."""
    return _PATH.sub("", text)


def _told(error: BaseException) -> str:
    """Its message, then how it came to it."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{str(error)[:ENTRY]}\n{trace[-ENTRY:]}"
