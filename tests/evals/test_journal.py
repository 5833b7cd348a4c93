"""A run's log and progress: what a session leaves, resumes and dies with, and how a reader tells these apart."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from sigmascope.errors import ModelError
from sigmascope.evals import journal as module
from sigmascope.evals.journal import Journal, Progress, log, progress, state, without_places
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.store import Run, Store, Writer
from sigmascope.evals.suite import read_suite

SUITE = """
schema = 1
name = "toy"
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
[[models]]
name = "other"
spec = "python:toy:other"
[sampling]
samplers = ["euler"]
steps = [2, 3]
seeds = "0-3"
metrics = []
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def plan_of(folder: Path, text: str = SUITE):
    (folder / "suite.toml").write_text(text)
    return prepare(read_suite(folder / "suite.toml"), folder)


def entries(run: Run) -> list[str]:
    """Of the log, without their times, which every one has."""
    lines = [line for line in log(run).splitlines() if not line.startswith("    ")]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  ", line) for line in lines)
    return [line[22:] for line in lines]


class Interrupted(BaseException):
    pass


class Stops:
    """A watcher that ends the session in the third cell, having looked at what a reader would see there."""

    def __init__(self, root: Path) -> None:
        self.root, self.cells = root, 0

    def cell(self, title: str, done: bool) -> None:
        self.cells += done

    def advance(self, evaluations: int) -> None:
        if self.cells == 2:
            (run,) = Store(self.root).runs()
            self.seen = (state(run), progress(run), [cell.title for cell in run.record.pending])
            raise Interrupted("enough")


def test_a_run_in_progress_says_what_is_done_and_what_is_to_come(tmp_path: Path) -> None:
    plan, stops = plan_of(tmp_path), Stops(tmp_path / "runs")
    with pytest.raises(Interrupted):
        execute(plan, tmp_path / "runs", stops)
    seen, now, pending = stops.seen
    assert seen == "running"
    assert pending == [cell.title for cell in plan.cells[2:]]
    assert now.title == plan.cells[2].title
    assert (now.done, now.total, now.before) == (sum(c.evaluations for c in plan.cells[:2]), plan.evaluations, 0)
    (run,) = Store(tmp_path / "runs").runs()
    assert state(run) == "interrupted"
    assert progress(run) is None
    assert entries(run)[-1] == "session ended by Interrupted"

    whole = execute(plan_of(tmp_path), tmp_path / "runs")
    assert state(whole) == "complete"
    assert whole.record.pending == []
    told = entries(whole)
    assert told[0] == "session begun: 0 of 4 cells done, on cpu"
    assert "session begun: 2 of 4 cells done, on cpu" in told
    assert [line.partition(":")[0] for line in told if line.startswith("done")] == [
        f"done    {cell.title}" for cell in plan.cells
    ]
    assert told[-1].startswith("complete: 4 cells")


def test_a_failed_cell_is_told_with_its_traceback_and_without_the_machines_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        execute(plan_of(tmp_path, SUITE.replace("toy:other", "toy:broken")), tmp_path)
    (run,) = Store(tmp_path).runs()
    assert state(run) == "failed"
    assert entries(run)[-1] == "session ended: 2 of 4 cells failed"
    assert sum(line.startswith("FAILED  other · euler") for line in entries(run)) == 2
    assert "Traceback" in log(run)
    assert 'File "evals/runner.py"' in log(run)
    assert str(Path(module.__file__).parent) not in log(run)


HOLDS = """
import sys, time
from pathlib import Path
from sigmascope.evals.store import Writer
with Writer(Path(sys.argv[1]), "toy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_session_is_told_from_one_at_work(tmp_path: Path) -> None:
    record = execute(plan_of(tmp_path), tmp_path / "other").record
    with Writer(tmp_path, "toy") as writer:
        writer.write_record(record.model_copy(update={"id": "toy", "status": "partial"}))
        run = Run(writer.partial)
        assert state(run) == "running"
    assert state(run) == "interrupted"
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"held\n"
        assert [state(run) for _ in range(3)] == ["running"] * 3, "asking changes nothing"
        session.send_signal(signal.SIGKILL)
        session.wait()
    assert (tmp_path / ".toy.lock").exists(), "a killed session leaves its lock's file"
    assert state(run) == "interrupted"


def test_warnings_are_logged_once_and_still_shown(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with Journal(tmp_path, 10):
            for _ in range(3):
                warnings.warn("a table that snaps\nover two lines", UserWarning, stacklevel=1)
    assert (tmp_path / "log.txt").read_text().count("warning UserWarning: a table that snaps\n    over two lines") == 1
    assert len(shown) == 3


def test_a_log_is_bounded_and_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 4000)
    journal = Journal(tmp_path, 10)
    for number in range(300):
        journal.say(f"entry {number}")
        assert (tmp_path / "log.txt").stat().st_size <= 4000
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[0].endswith("(earlier lines are left out)")
    assert lines[-1].endswith("entry 299")
    assert all(line[10] == "T" for line in lines), "no half a line"


def test_a_long_error_keeps_its_cell_its_message_and_its_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 10)
    try:
        raise ModelError("the message" + " and more" * 5000 + " the end")
    except ModelError as error:
        journal.failed("a cell", error)
    said = (tmp_path / "log.txt").read_text()
    assert "FAILED  a cell: the message" in said
    assert said.endswith("the end\n")
    assert len(said) < 3 * module.ENTRY


def test_a_journal_that_can_not_be_written_fails_no_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "nowhere", 10) as journal:
        journal.begin("a cell")
        journal.advance(5)
        journal.done("a cell", 1.0, 5)


def test_the_rate_is_this_sessions() -> None:
    now = Progress(title="a", done=400, total=1000, before=100, seconds=3.0)
    assert now.rate == 100
    assert now.left == 6
    begun = Progress(title="a", done=100, total=1000, before=100, seconds=3.0)
    assert begun.rate is None
    assert begun.left is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('File "/srv/people/me/evals/cells.py", line 3', 'File "evals/cells.py", line 3'),
        ("weights=/data/models/eps/w.safetensors: no", "weights=eps/w.safetensors: no"),
        ("see https://host.org/a/b/c", "see https://host.org/a/b/c"),
        ("models/eps/w.safetensors, 1/2/3/4", "models/eps/w.safetensors, 1/2/3/4"),
    ],
)
def test_absolute_paths_are_shortened(text: str, left: str) -> None:
    assert without_places(text) == left


def test_progress_is_written_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.4, 0.9, 1.1, 1.1])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    journal, written = Journal(tmp_path, 100), []
    journal.begin("a cell")
    for _ in range(3):
        journal.advance(10)
        written.append(Progress.model_validate_json((tmp_path / "progress.json").read_bytes()).done)
    assert written == [0, 0, 30]
