"""From a plan to a run: execute the cells that an earlier session did not finish, and store what they give."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ..errors import ModelError
from .cells import work
from .denoiser import Denoiser
from .journal import Journal
from .planned_cells import Cell
from .planning import Plan
from .probes import Subject
from .records import CellRecord, ModelRecord, PendingCell, RunRecord, Status
from .store import CellResult, Run, Writer


class Watcher(Protocol):
    """Who is told how a run goes; the command line draws a bar."""

    def cell(self, title: str, done: bool) -> None: ...
    def advance(self, evaluations: int) -> None: ...


class Silent:
    def cell(self, title: str, done: bool) -> None:
        pass

    def advance(self, evaluations: int) -> None:
        pass


class Counted:
    """Adds up what a watcher and the journal are told of one cell."""

    def __init__(self, watcher: Watcher, journal: Journal) -> None:
        self.watcher, self.journal, self.evaluations = watcher, journal, 0

    def advance(self, evaluations: int) -> None:
        self.evaluations += evaluations
        self.skip(evaluations)

    def skip(self, evaluations: int) -> None:
        """Of what was planned for, so much needs no more doing."""
        self.watcher.advance(evaluations)
        self.journal.advance(evaluations)


def execute(plan: Plan, root: Path, watcher: Watcher | None = None) -> Run:
    """Run the plan's unfinished cells and store the run under `root`; a finished run is returned as it is.

    A cell whose model breaks its contract is recorded as failed and the others go on; then ModelError is raised, and
    the partial run stays, to be resumed.
    """
    watcher = watcher or Silent()
    with Writer(root, plan.run_id) as writer:
        whole = writer.whole()
        if whole is not None:
            return whole
        with Journal(writer.partial, plan.evaluations) as journal:
            return _finish(plan, writer, watcher, journal)


def _finish(plan: Plan, writer: Writer, watcher: Watcher, journal: Journal) -> Run:
    created = writer.created() or _now()
    done: dict[str, CellRecord] = {}
    failures: list[str] = []

    def record(status: Status) -> RunRecord:
        cells = [done[cell.key] for cell in plan.cells if cell.key in done]
        pending = [_pending(cell) for cell in plan.cells if cell.key not in done]
        return _record(plan, status, created, cells, pending)

    for cell in plan.cells:
        earlier = writer.finished(cell.key)
        if earlier is not None:
            done[cell.key] = earlier
            watcher.advance(cell.evaluations)
    writer.write_record(record("partial"))
    journal.say(f"session begun: {len(done)} of {len(plan.cells)} cells done, on {plan.environment['device']}")
    journal.resumed(sum(cell.evaluations for cell in plan.cells if cell.key in done))
    for cell in plan.cells:
        if cell.key in done:
            continue
        watcher.cell(cell.title, done=False)
        journal.begin(cell.title)
        began, counted = time.perf_counter(), Counted(watcher, journal)
        try:
            tables, thumbnails = work(plan, cell, counted.advance, Run(writer.partial))
        except ModelError as error:
            failures.append(f"{cell.title}: {error}")
            done[cell.key] = _cell_record(cell, time.perf_counter() - began, str(error))
            journal.failed(cell.title, error)
        else:
            spent = counted.evaluations if plan.adaptive(cell) else cell.evaluations
            counted.skip(cell.evaluations - spent)
            done[cell.key] = _cell_record(replace(cell, evaluations=spent), time.perf_counter() - began)
            journal.done(cell.title, done[cell.key].seconds, spent)
            writer.write_cell(CellResult(done[cell.key], tables, thumbnails))
        writer.write_record(record("failed" if failures else "partial"))
        watcher.cell(cell.title, done=True)
    if failures:
        journal.say(f"session ended: {len(failures)} of {len(plan.cells)} cells failed")
        raise ModelError(f"{len(failures)} of {len(plan.cells)} cells failed:\n  " + "\n  ".join(failures))
    complete = record("complete")
    journal.say(f"complete: {len(done)} cells, {complete.seconds:.1f} s of computing over all sessions")
    return writer.finish(complete)


def model_record(name: str, denoiser: Denoiser, subject: Subject | None = None) -> ModelRecord:
    """What a run says of a model; `subject` has the data as the model sees them, where it is probed."""
    low, high = denoiser.schedule.sigma_min, denoiser.schedule.sigma_max
    return ModelRecord(
        name=name,
        spec=denoiser.traits.spec,
        parameterization=denoiser.parameterization.name,
        schedule=repr(denoiser.schedule),
        sigma_min=low or None,
        sigma_max=None if math.isinf(high) else high,
        parameters=denoiser.traits.parameters,
        event_shape=denoiser.event_shape,
        data_range=denoiser.data_range,
        fingerprint=denoiser.traits.fingerprint,
        data_spread=None if subject is None else math.sqrt(subject.variance),
        image_shape=() if denoiser.autoencoder is None else denoiser.image_shape,
        autoencoder="" if denoiser.autoencoder is None else denoiser.autoencoder.fingerprint,
    )


def _record(plan: Plan, status: Status, created: str, cells: list[CellRecord], pending: list[PendingCell]) -> RunRecord:
    return RunRecord(
        id=plan.run_id,
        name=plan.suite.name,
        status=status,
        created=created,
        seconds=sum(cell.seconds for cell in cells),
        suite=plan.suite.model_dump(by_alias=True),
        baseline=plan.suite.baseline_name,
        models=[model_record(name, one, plan.subjects.get(name)) for name, one in plan.denoisers.items()],
        fingerprint=plan.fingerprint,
        environment=plan.environment,
        cells=cells,
        pending=pending,
    )


def _pending(cell: Cell) -> PendingCell:
    return PendingCell(key=cell.key, kind=cell.kind, title=cell.title, model=cell.model, evaluations=cell.evaluations)


def _cell_record(cell: Cell, seconds: float, error: str | None = None) -> CellRecord:
    return CellRecord(
        key=cell.key,
        kind=cell.kind,
        title=cell.title,
        model=cell.model,
        seconds=seconds,
        evaluations=cell.evaluations,
        sampler=cell.sampler,
        steps=cell.steps,
        grid=cell.grid,
        guidance=cell.guidance,
        error=error,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
