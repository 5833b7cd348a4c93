"""The work of one cell: probe a model at its noise levels, show where it loses, sample and score, trace a sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from .conditioning import numbered
from .denoiser import Denoiser
from .losing import pictured
from .noise import Noise
from .planned_cells import Cell, class_labels, course, filmable, grid_named, sample_ids
from .planning import Plan
from .probes import curves, denoising_error, measure, measure_until
from .probes.worst import Worst
from .records import ADDED, PICTURES, SETTING, TABLES
from .run import Run
from .samplers import sample, solver
from .scoring import to_uint8
from .store import sheet_holds
from .trajectories import Course, film, trace, trajectory_probe, walk

Progress = Callable[[int], None]
Work = tuple[dict[str, pd.DataFrame], np.ndarray | None]
"""Tables by name, and thumbnails by tile."""


def _probe(plan: Plan, cell: Cell, progress: Progress) -> Work:
    settings = plan.suite.probes
    assert settings is not None
    probes = plan.probes[cell.model]
    subject = plan.subjects[cell.model]
    worst = Worst(settings.worst, subject.denoiser.autoencoder, _shared(plan, subject.denoiser, settings.worst))
    target = settings.target
    if target is None:
        rows = measure(subject, probes, settings.draws, batch_size=plan.batch_size, progress=progress, watch=worst)
    else:
        rows = measure_until(subject, probes, target, batch_size=plan.batch_size, progress=progress, watch=worst)
    tables = {"evaluations": rows, "curves": curves(rows, probes), "worst": worst.table(subject.data.labels)}
    tables = {name: table.assign(model=cell.model) for name, table in tables.items() if len(table)}
    tables["levels"] = denoising_error.levels(
        tables["evaluations"], subject.denoiser, plan.sigmas, adaptive=target is not None
    )
    return tables, worst.tiles()


def _shared(plan: Plan, denoiser: Denoiser, worst: int) -> int:
    """How many images every model keeps: as many as of its worst, or what the sheet has room for beside those."""
    if len(denoiser.image_shape) != 3:
        return 0
    room = sheet_holds(*denoiser.image_shape[-2:]) // (len(PICTURES) * len(plan.sigmas))
    return max(min(worst, room - worst), 0)


def _sample(plan: Plan, cell: Cell, progress: Progress) -> Work:
    sampling = plan.suite.sampling
    assert sampling is not None
    assert cell.sampler is not None
    assert cell.steps is not None
    assert cell.grid is not None
    denoiser = plan.denoiser(cell)
    ids = sample_ids(plan.fingerprint["seeds"])
    labels = class_labels(denoiser, ids)
    samples = sample(
        denoiser,
        solver(cell.sampler),
        ids,
        Noise(plan.suite.seed),
        steps=cell.steps,
        grid=grid_named(cell.grid),
        cond={} if labels is None else {"class_labels": labels},
        batch_size=plan.batch_size,
        progress=progress,
    )
    drawn = samples.images if denoiser.autoencoder is None else denoiser.autoencoder.images(samples.images)
    images = to_uint8(drawn, (-1.0, 1.0))
    outside = drawn.abs() > 1.0
    kept = min(sampling.thumbnails, len(ids)) if len(denoiser.image_shape) == 3 else 0
    rows = pd.DataFrame(
        {
            **_setting(cell),
            "sample": ids.numpy(),
            "label": -1 if labels is None else labels.numpy(),
            "evaluations": samples.evaluations,
            "clipped": outside.flatten(1).double().mean(1).numpy(),
            "tile": [index if index < kept else -1 for index in range(len(ids))],
        }
    )
    thumbnails = images[:kept].permute(0, 2, 3, 1).contiguous().numpy() if kept else None
    beside = pd.DataFrame()
    if thumbnails is not None and plan.training is not None:
        room = sheet_holds(*thumbnails.shape[1:3]) - kept
        beside, neighbours = plan.training.beside(images[:kept].cpu(), kept, room)
        thumbnails = np.concatenate((thumbnails, neighbours))
    tables = {"samples": pd.concat([rows, _not_scored(rows, beside)], axis=1)}
    if plan.scorer is not None:
        scores = pd.DataFrame([vars(score) for score in plan.scorer.scores(images, _prompts(plan, cell, labels))])
        tables["metrics"] = scores.assign(**_setting(cell), evaluations=samples.evaluations)
    return tables, thumbnails


def _not_scored(rows: pd.DataFrame, beside: pd.DataFrame) -> pd.DataFrame:
    """Of neighbours: `beside` for the first samples, and for the others that there are none."""
    columns = {name: np.full(len(rows), ADDED[name]) for name in TABLES["samples"] if name not in rows}
    for name in beside:
        columns[str(name)][: len(beside)] = beside[name]
    return pd.DataFrame(columns)


def _prompts(plan: Plan, cell: Cell, labels: Tensor | None) -> list[str] | None:
    """What each sample of a text model was made from; None for other models."""
    if plan.denoisers[cell.model].text is None or labels is None or plan.data.captions is None:
        return None
    distinct, _ = numbered(plan.data.captions)
    return [distinct[label] for label in labels.tolist()]


def _trace(plan: Plan, cell: Cell, progress: Progress) -> Work:
    sampling = plan.suite.sampling
    assert sampling is not None
    ids, watched = sample_ids(plan.fingerprint["seeds"]), _course(plan, cell)
    chosen = [trajectory_probe(text) for text in sampling.probes]
    tables, pictures = {}, None
    if chosen:
        rows = trace(watched, ids[: sampling.probe_samples], chosen, batch_size=plan.batch_size, progress=progress)
        tables["steps"] = rows.assign(**_setting(cell))
    if sampling.film and filmable(watched.denoiser, watched.solver()):
        before = watched.denoiser.evaluations
        rows, pictures = film(walk(watched, ids[: sampling.film]))
        tables["film"] = rows.assign(**_setting(cell))
        progress(watched.denoiser.evaluations - before)
    return tables, pictures


def _setting(cell: Cell) -> dict[str, Any]:
    """What tells a cell's rows from another's."""
    return {name: getattr(cell, name) for name in SETTING}


def _course(plan: Plan, cell: Cell) -> Course:
    assert cell.sampler is not None
    assert cell.steps is not None
    assert cell.grid is not None
    denoiser, data = plan.denoiser(cell), plan.subjects[cell.model].data
    return course(denoiser, cell.sampler, cell.steps, cell.grid, plan.suite.seed, data)


_WORK = {"probe": _probe, "sample": _sample, "trajectory": _trace}


def work(plan: Plan, cell: Cell, progress: Progress, gathered: Run | None = None) -> Work:
    """Do it; `progress` is told of network evaluations, `gathered` holds the cells that are done, where it needs them.

    Raises ModelError when the model breaks its contract.
    """
    if cell.kind == "losses":
        assert gathered is not None
        baseline, count = plan.suite.baseline_name, cell.evaluations // (2 * len(plan.sigmas))
        return pictured(gathered, plan.subjects, baseline, cell.model, count, plan.batch_size, progress)
    return _WORK[cell.kind](plan, cell, progress)
