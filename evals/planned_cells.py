"""Which cells a suite comes to, and what each costs: a pass of probes, a sampler setting, a look at its steps.

Suite, models, data -> planned_cells -> Cell, in a Plan (planning.py) -> cells.py, which executes one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from .conditioning import GuidedDenoiser, steered
from .data import DataSet
from .denoiser import Cond, Denoiser
from .identity import identity
from .losing import kept_of_a_level
from .noise import Noise
from .probes import Probe, Subject, cost
from .records import Kind
from .samplers import GRIDS, Grid, Solver, solver
from .store import sheet_holds
from .suite import GuidanceAt, Sampling, Suite, seed_range
from .trajectories import Course, trajectory_probe
from .trajectories import cost as trajectory_cost

NATIVE = "native"
"""Stands where a grid's name would, for samplers that bring their own."""


@dataclass(frozen=True)
class Cell:
    """The smallest piece of a run: executed whole, stored whole."""

    kind: Kind
    model: str
    title: str
    key: str
    evaluations: int
    """Network evaluations it will take; of an adaptive pass, at most."""
    sampler: str | None = None
    steps: int | None = None
    grid: str | None = None
    guidance: str = ""
    """Name of the suite's setting; empty for the model as it was declared."""


def planned_cells(
    suite: Suite,
    denoisers: dict[str, Denoiser],
    data: DataSet,
    train: DataSet | None,
    sigmas: Tensor,
    probes: dict[str, list[Probe]],
    subjects: dict[str, Subject],
    fingerprint: dict[str, str],
    environment: dict[str, str],
    limit: int | None,
) -> list[Cell]:
    """In the order of execution: model by model, and last what needs two of them."""
    stack = {name: environment[name] for name in ("torch", "diffusers", "sigmascope", "device", "device_name")}
    trained_on = train.digest if train else ""
    cells = []
    for name, denoiser in denoisers.items():
        common = [name, identity(denoiser), fingerprint, stack, suite.micro_batch]
        if suite.probes is not None:
            also = f" and {len(probes[name])} more probes" if probes[name] else ""
            title = f"{name} · denoising error{also} at {len(sigmas)} levels"
            settings = [common, title, suite.probes.use, suite.probes.worst, trained_on]
            count = cost(probes[name], len(sigmas), suite.probes.draws, len(data.images))
            target = suite.probes.target
            if target is not None:
                whole = len(sigmas) * suite.probes.draws * len(data.images)
                count += target.most(len(sigmas), len(data.images)) - whole
                title += f", to {target.precision:.2g} of the error"
                settings += [target.precision, target.draws, target.budget]
            cells.append(Cell("probe", name, title, hashed(settings)[:16], count))
        if suite.sampling is None:
            continue
        cells += _sampling_cells(suite, name, denoiser, subjects, [common], trained_on, limit)
    return [*cells, *_losing_cells(suite, denoisers, cells, len(sigmas), len(data.images))]


def _losing_cells(
    suite: Suite, denoisers: dict[str, Denoiser], cells: list[Cell], levels: int, images: int
) -> list[Cell]:
    """Of every candidate, after all else: the images where it loses most against the baseline, in both models."""
    probed = {cell.model: cell for cell in cells if cell.kind == "probe"}
    if suite.probes is None or suite.baseline_name not in probed:
        return []
    base, found = suite.baseline_name, []
    for name, cell in probed.items():
        shape = denoisers[name].image_shape
        count = kept_of_a_level(suite.probes.worst, cell.evaluations, levels, images, shape) if name != base else 0
        if count > 0:
            title = f"{name} · pictures where it loses most against {base}"
            key = hashed(["losses", cell.key, probed[base].key, count])[:16]
            found.append(Cell("losses", name, title, key, 2 * levels * count))
    return found


def _sampling_cells(
    suite: Suite,
    name: str,
    own: Denoiser,
    subjects: dict[str, Subject],
    common: list[Any],
    trained_on: str,
    limit: int | None,
) -> list[Cell]:
    """Every sampler x steps x grid x guidance of one model, each followed by a look at its steps if there is one."""
    sampling = suite.sampling
    assert sampling is not None
    samples = len(sample_ids(seeds_of(sampling, limit)))
    watched = min(samples, sampling.probe_samples)
    guidances = _guidances(name, own, sampling)
    cells = []
    for sampler, steps in itertools.product(sampling.samplers, sampling.steps):
        grids = [NATIVE] if solver(sampler).own_clock else sampling.grids
        for grid, guidance in itertools.product(grids, guidances):
            title = f"{name} · {sampler}, {steps} steps" + (f", {grid}" if len(grids) > 1 else "")
            title += f", guidance {guidance.name}" if guidance else ""
            denoiser = steered(own, guidance.scale, guidance.interval) if guidance else own
            per_sample = _evaluations_per_sample(title, denoiser, sampler, steps, grid)
            setting = (sampler, steps, grid, guidance.name if guidance else "")
            # a setting without guidance keeps the key it had before there was such an axis
            what = [*common, sampler, steps, grid, *([guidance.name] if guidance else [])]
            beside = [trained_on] if trained_on and sampling.thumbnails else []
            key = hashed([*what, sampling.metrics, sampling.thumbnails, *beside])[:16]
            cells.append(Cell("sample", name, title, key, per_sample * samples, *setting))
            if not sampling.looked_at(sampler, steps):
                continue
            shot = min(samples, sampling.film) if filmable(denoiser, solver(sampler)) else 0
            _check_film(title, shot, steps, denoiser)
            if not (sampling.probes or shot):
                continue
            walked = course(denoiser, sampler, steps, grid, suite.seed, subjects[name].data)
            each = _evaluations_per_walk(title, walked, sampling.probes) if sampling.probes else 0
            count = each * watched + shot * (per_sample + steps)
            key = hashed([*what, sampling.probes, watched, *([shot] if shot else [])])[:16]
            cells.append(Cell("trajectory", name, f"{title}, step by step", key, count, *setting))
    return cells


def _check_film(title: str, samples: int, steps: int, denoiser: Denoiser) -> None:
    pictures, room = 2 * steps + 1, sheet_holds(*denoiser.image_shape[-2:]) if samples else 0
    if samples * pictures > room:
        raise ConfigError(
            f"{title}: a film of {samples} samples is {samples * pictures} pictures, and a sheet holds {room} of this "
            f"size; expected film of at most {room // pictures}"
        )


def _guidances(name: str, denoiser: Denoiser, sampling: Sampling) -> Sequence[GuidanceAt | None]:
    """The suite's settings; a model that is conditioned on nothing is sampled once, as it is."""
    if not sampling.guidance or (denoiser.traits.classes is None and not isinstance(denoiser, GuidedDenoiser)):
        return [None]
    try:
        steered(denoiser, 1.0)
    except ConfigError as error:
        raise ConfigError(f"sampling.guidance: model {name!r}: {error}") from error
    return sampling.guidance


def _evaluations_per_sample(title: str, denoiser: Denoiser, sampler: str, steps: int, grid: str) -> int:
    """How often the network is asked for one sample; also finds out early that a sampler can't do these steps."""
    method = solver(sampler)
    try:
        sigmas = method.levels(denoiser, grid_named(grid), steps)
        return round(method.evaluations(sigmas) * _asked_twice(denoiser, sigmas))
    except ConfigError as error:
        raise ConfigError(f"{title}: {error}") from error


def _asked_twice(denoiser: Denoiser, sigmas: Tensor) -> float:
    """Network evaluations in a step's evaluation, on average: guidance takes two where it acts."""
    if not isinstance(denoiser, GuidedDenoiser) or denoiser.guidance.scale == 1.0:
        return 1.0
    low, high = denoiser.guidance.interval
    inside = float(((sigmas[:-1] >= low) & (sigmas[:-1] <= high)).double().mean())
    return 1.0 if denoiser.guidance.scale == 0.0 and inside == 1.0 else 1.0 + inside


def _evaluations_per_walk(title: str, walked: Course, names: list[str]) -> int:
    """How often the network is asked for one sample's trajectory probes, which are checked here."""
    chosen = [trajectory_probe(name) for name in names]
    try:
        for one in chosen:
            one.check(walked)
        return trajectory_cost(walked, chosen)
    except (ConfigError, DataError) as error:
        raise ConfigError(f"{title}: {error}") from error


def course(denoiser: Denoiser, sampler: str, steps: int, grid: str, seed: int, data: DataSet) -> Course:
    """What the trajectory probes look at, by a suite's names."""

    def cond(sample_ids: Tensor) -> Cond:
        labels = class_labels(denoiser, sample_ids)
        return {} if labels is None else {"class_labels": labels}

    return Course(denoiser, lambda: solver(sampler), steps, grid_named(grid), Noise(seed), cond, data)


def class_labels(denoiser: Denoiser, sample_ids: Tensor) -> Tensor | None:
    """Labels for sampling a class-conditional model: ids go round the classes, so every stretch of ids is balanced."""
    classes = denoiser.traits.classes
    return None if classes is None else sample_ids % classes


def filmable(denoiser: Denoiser, method: Solver) -> bool:
    """Whether there are pictures of scaled states to keep."""
    return len(denoiser.image_shape) == 3 and not method.own_clock


def grid_named(name: str) -> Grid | None:
    return None if name == NATIVE else GRIDS[name]


def seeds_of(sampling: Sampling, limit: int | None) -> str:
    """The ids of the samples, "0-191": the suite's, of which a limit takes the first."""
    ids = seed_range(sampling.seeds)
    return f"{ids[0]}-{ids[:limit][-1]}"


def sample_ids(seeds: str) -> Tensor:
    """Of "0-191" all ids, `(N,)`."""
    ids = seed_range(seeds)
    return torch.arange(ids.start, ids.stop)


def hashed(content: Any) -> str:
    """Of anything JSON holds: what names cells, runs and sets of levels."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
