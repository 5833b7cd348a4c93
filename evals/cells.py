"""The work of one cell of a plan: probe a model at its noise levels, sample and score it, or trace its sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from .noise import Noise
from .planning import Cell, Plan, class_labels, course, grid_named, sample_ids
from .probes import curves, denoising_error, measure
from .probes.worst import Worst
from .samplers import sample, solver
from .scoring import to_uint8
from .trajectories import Course, trace, trajectory_probe

Progress = Callable[[int], None]
Work = tuple[dict[str, pd.DataFrame], np.ndarray | None]
"""Tables by name, and thumbnails by tile."""


def _probe(plan: Plan, cell: Cell, progress: Progress) -> Work:
    settings = plan.suite.probes
    assert settings is not None
    probes = plan.probes[cell.model]
    subject = plan.subjects[cell.model]
    worst = Worst(settings.worst, subject.denoiser.autoencoder)
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


def _sample(plan: Plan, cell: Cell, progress: Progress) -> Work:
    sampling = plan.suite.sampling
    assert sampling is not None
    assert cell.sampler is not None
    assert cell.steps is not None
    assert cell.grid is not None
    denoiser = plan.denoisers[cell.model]
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
    setting: dict[str, Any] = {"model": cell.model, "sampler": cell.sampler, "steps": cell.steps, "grid": cell.grid}
    rows = pd.DataFrame(
        {
            **setting,
            "sample": ids.numpy(),
            "label": -1 if labels is None else labels.numpy(),
            "evaluations": samples.evaluations,
            "clipped": outside.flatten(1).double().mean(1).numpy(),
            "tile": [index if index < kept else -1 for index in range(len(ids))],
        }
    )
    tables = {"samples": rows}
    thumbnails = images[:kept].permute(0, 2, 3, 1).contiguous().numpy() if kept else None
    if plan.scorer is not None:
        scores = pd.DataFrame([vars(score) for score in plan.scorer.scores(images)])
        tables["metrics"] = scores.assign(**setting, evaluations=samples.evaluations)
    return tables, thumbnails


def _trace(plan: Plan, cell: Cell, progress: Progress) -> Work:
    sampling = plan.suite.sampling
    assert sampling is not None
    ids = sample_ids(plan.fingerprint["seeds"])[: sampling.probe_samples]
    chosen = [trajectory_probe(text) for text in sampling.probes]
    rows = trace(_course(plan, cell), ids, chosen, batch_size=plan.batch_size, progress=progress)
    setting: dict[str, Any] = {"model": cell.model, "sampler": cell.sampler, "steps": cell.steps, "grid": cell.grid}
    return {"steps": rows.assign(**setting)}, None


def _course(plan: Plan, cell: Cell) -> Course:
    assert cell.sampler is not None
    assert cell.steps is not None
    assert cell.grid is not None
    denoiser, data = plan.denoisers[cell.model], plan.subjects[cell.model].data
    return course(denoiser, cell.sampler, cell.steps, cell.grid, plan.suite.seed, data)


_WORK = {"probe": _probe, "sample": _sample, "trajectory": _trace}


def work(plan: Plan, cell: Cell, progress: Progress) -> Work:
    """Do it; `progress` is told of network evaluations. Raises ModelError when the model breaks its contract."""
    return _WORK[cell.kind](plan, cell, progress)
