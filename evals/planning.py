"""From a suite to a plan: load everything it names, check that all fits together, split it into cells."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from . import noise as noise_module
from .commit import current_commit
from .conditioning import GuidedDenoiser, captioned, steered
from .data import METADATA, DataSet, load_data, seen_by
from .denoiser import Cond, Denoiser
from .identity import identity
from .levels import log_snr_levels
from .losing import kept_of_a_level
from .models import load_model
from .neighbours import Training
from .noise import Noise
from .probes import SETS, Probe, Subject, cost, probe
from .records import Kind
from .samplers import GRIDS, Grid, Solver, solver
from .samplers.grids import finite_range
from .scoring import Scorer
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


@dataclass(frozen=True)
class Plan:
    """A suite with everything it names loaded and checked, and the cells it comes to."""

    suite: Suite
    run_id: str
    data: DataSet
    denoisers: dict[str, Denoiser]
    sigmas: Tensor
    """Levels of the probes, `(L,)`, ascending."""
    cells: list[Cell]
    fingerprint: dict[str, str]
    environment: dict[str, str]
    scorer: Scorer | None
    probes: dict[str, list[Probe]]
    """Beyond the denoising error, by model: a set leaves out those that a model or its data have no use for."""
    subjects: dict[str, Subject]
    """What the probes ask, by model, with the data as it sees them; empty where nothing is probed."""
    training: Training | None = None
    """Where each kept sample's nearest training image is looked for; None without training images."""
    batch_size: int = 1024

    @property
    def evaluations(self) -> int:
        return sum(cell.evaluations for cell in self.cells)

    def adaptive(self, cell: Cell) -> bool:
        """Whether what a cell takes is known only when it is done."""
        probed = cell.kind in ("probe", "losses")
        return probed and self.suite.probes is not None and self.suite.probes.target is not None

    def denoiser(self, cell: Cell) -> Denoiser:
        """The cell's model, guided as the cell says."""
        denoiser, sampling = self.denoisers[cell.model], self.suite.sampling
        if not cell.guidance or sampling is None:
            return denoiser
        setting = next(setting for setting in sampling.guidance if setting.name == cell.guidance)
        return steered(denoiser, setting.scale, setting.interval)


def prepare(
    suite: Suite,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    limit: int | None = None,
    batch_size: int = 1024,
    trust_pickle: bool = False,
) -> Plan:
    """Load the models, the data and the feature network, check that all fit together, and list the cells.

    Args:
        folder: where relative paths of the suite begin.
        limit: use at most this many images and samples.
        batch_size: rows carried at once; bounds memory, changes no result.
        trust_pickle: whether models may be unpickled, which may run any code; recorded with the run.

    Raises ConfigError, DataError or LoadError: whatever can be known to fail is known here.
    """
    device = _checked_device(device)
    data = load_data(suite.data.source, folder).first(_least(suite.data.limit, limit))
    denoisers = {}
    for model in suite.models:
        denoiser = load_model(model, folder, device=device, micro_batch=suite.micro_batch, trust_pickle=trust_pickle)
        _check_fits(model.name, denoiser, data, device)
        denoisers[model.name] = denoiser if denoiser.text is None else captioned(denoiser, data.captions or ())
    sigmas = _levels(suite, denoisers, len(data.images))
    train = load_data(suite.data.train, folder) if suite.data.train else None
    subjects = _subjects(suite, denoisers, data, sigmas, train)
    probes = {name: _probes(suite, subject) for name, subject in subjects.items()}
    sampling = suite.sampling
    scorer = Scorer(sampling.features, sampling.metrics, data, device) if sampling and sampling.metrics else None
    if scorer is not None and scorer.prompted:
        for name, denoiser in denoisers.items():
            if denoiser.text is None:
                raise ConfigError(f"{scorer.prompted[0]}: expected models of text, and {name!r} takes none")
    fingerprint = {
        "noise": noise_module.FINGERPRINT,
        "seed": str(suite.seed),
        "data": data.digest,
        "levels": _hash([float(sigma) for sigma in sigmas]),
        "draws": _draws(suite),
        "seeds": _seeds(sampling, limit) if sampling else "",
        "features": scorer.fingerprint if scorer else "",
    }
    environment = describe_environment(device)
    if commit := current_commit(Path.cwd()):
        environment["commit"] = commit
    trusted = [name for name, denoiser in denoisers.items() if denoiser.traits.trusted]
    if trusted:
        environment["trusted_pickles"] = ", ".join(trusted)
    cells = _cells(suite, denoisers, data, train, sigmas, probes, subjects, fingerprint, environment, limit)
    for denoiser in denoisers.values():
        denoiser.evaluations = 0
    training = Training(train, data) if train and sampling and sampling.thumbnails and data.images.ndim == 4 else None
    # what follows from other cells decides nothing: runs made before there were such cells are found again
    keys = [cell.key for cell in cells if cell.kind != "losses"]
    run_id = f"{suite.name}-{_hash([*keys, suite.name, suite.baseline_name])[:8]}"
    return Plan(
        suite, run_id, data, denoisers, sigmas, cells, fingerprint, environment, scorer, probes, subjects, training,
        batch_size,
    )  # fmt: skip


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


def _cells(
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
            cells.append(Cell("probe", name, title, _hash(settings)[:16], count))
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
            key = _hash(["losses", cell.key, probed[base].key, count])[:16]
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
    samples = len(sample_ids(_seeds(sampling, limit)))
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
            key = _hash([*what, sampling.metrics, sampling.thumbnails, *beside])[:16]
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
            key = _hash([*what, sampling.probes, watched, *([shot] if shot else [])])[:16]
            cells.append(Cell("trajectory", name, f"{title}, step by step", key, count, *setting))
    return cells


def _check_film(title: str, samples: int, steps: int, denoiser: Denoiser) -> None:
    pictures, room = 2 * steps + 1, sheet_holds(*denoiser.image_shape[-2:]) if samples else 0
    if samples * pictures > room:
        raise ConfigError(
            f"{title}: a film of {samples} samples is {samples * pictures} pictures, and a sheet holds {room} of this "
            f"size; expected film of at most {room // pictures}"
        )


def filmable(denoiser: Denoiser, method: Solver) -> bool:
    """Whether there are pictures of scaled states to keep."""
    return len(denoiser.image_shape) == 3 and not method.own_clock


def _guidances(name: str, denoiser: Denoiser, sampling: Sampling) -> Sequence[GuidanceAt | None]:
    """The suite's settings; a model that is conditioned on nothing is sampled once, as it is."""
    if not sampling.guidance or (denoiser.traits.classes is None and not isinstance(denoiser, GuidedDenoiser)):
        return [None]
    try:
        steered(denoiser, 1.0)
    except ConfigError as error:
        raise ConfigError(f"sampling.guidance: model {name!r}: {error}") from error
    return sampling.guidance


def _subjects(
    suite: Suite, denoisers: dict[str, Denoiser], data: DataSet, sigmas: Tensor, train: DataSet | None
) -> dict[str, Subject]:
    """What the probes ask each model about: the data as it sees them."""
    sampling = suite.sampling
    if suite.probes is None and not (sampling and (sampling.probes or sampling.film)):
        return {}
    return {
        name: Subject(
            denoiser,
            seen_by(denoiser, data),
            sigmas,
            Noise(suite.seed),
            train and seen_by(denoiser, replace(train, captions=None)),
        )
        for name, denoiser in denoisers.items()
    }


def _probes(suite: Suite, subject: Subject) -> list[Probe]:
    """The probes that are named; those of a set only where they apply."""
    if suite.probes is None:
        return []
    chosen = [probe(text) for text in suite.probes.use if text not in SETS]
    for one in chosen:
        one.check(subject)
    sets = dict.fromkeys(name for text in suite.probes.use for name in SETS.get(text, ()))
    named = {one.name for one in chosen}
    chosen += [one for one in map(probe, sets) if one.name not in named and one.applies(subject)]
    return chosen


def grid_named(name: str) -> Grid | None:
    return None if name == NATIVE else GRIDS[name]


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


def _levels(suite: Suite, denoisers: dict[str, Denoiser], images: int) -> Tensor:
    """The probes' levels: those the suite asks for, within the range all models share unless it says otherwise."""
    settings = suite.probes
    if settings is None:
        return torch.zeros(0, dtype=torch.float64)
    ranges = [finite_range(denoiser.schedule) for denoiser in denoisers.values()]
    low = settings.sigma_min or max(low for low, _ in ranges)
    high = settings.sigma_max or min(high for _, high in ranges)
    sigmas = log_snr_levels(low, high, settings.levels)
    for name, denoiser in denoisers.items():
        try:
            denoiser.level(sigmas)
        except ConfigError as error:
            raise ConfigError(f"probes: model {name!r} can't be asked at these levels: {error}") from error
    if settings.target is not None:
        settings.target.check(len(sigmas), images)
    return sigmas


def _check_fits(name: str, denoiser: Denoiser, data: DataSet, device: torch.device) -> None:
    if denoiser.device.type != device.type:
        raise ConfigError(
            f"model {name!r}: expected it on {device.type}, got it on {denoiser.device.type} from its factory"
        )
    shape = tuple(data.images.shape[1:])
    if denoiser.image_shape != shape:
        of = "" if denoiser.autoencoder is None else f" latents {denoiser.event_shape} of images"
        raise DataError(f"model {name!r} denoises{of} {denoiser.image_shape}, but the data {data.source} has {shape}")
    if denoiser.text is not None and data.captions is None:
        raise DataError(
            f"model {name!r} is conditioned on text, but the data {data.source} has no captions; expected a folder "
            f"with {METADATA}, an .npz file with `captions`, or (images, labels, captions) of a python: function"
        )
    classes = denoiser.traits.classes
    if classes is None:
        return
    if data.labels is None:
        raise DataError(f"model {name!r} is conditioned on {classes} classes, but the data {data.source} has no labels")
    if int(data.labels.max()) >= classes or int(data.labels.min()) < 0:
        seen = f"{int(data.labels.min())}..{int(data.labels.max())}"
        raise DataError(f"model {name!r}: expected labels 0..{classes - 1}, got {seen} in {data.source}")


def describe_environment(device: torch.device) -> dict[str, str]:
    """What may differ between two comparable runs."""
    packages = ("sigmascope", "torch", "torchmetrics", "diffusers", "numpy")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "threads": str(torch.get_num_threads()),
        "tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "cpus": str(os.cpu_count()),
    }


def _checked_device(device: torch.device | str) -> torch.device:
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: expected one this torch can use, such as cpu, got {device!r}: {error}") from error
    return checked


def _draws(suite: Suite) -> str:
    """Noise draws of each image; adaptive passes to any precision share theirs, in one order."""
    if suite.probes is None:
        return "0"
    return str(suite.probes.draws) if suite.probes.target is None else "adaptive"


def _seeds(sampling: Sampling, limit: int | None) -> str:
    ids = seed_range(sampling.seeds)
    return f"{ids[0]}-{ids[:limit][-1]}"


def sample_ids(seeds: str) -> Tensor:
    ids = seed_range(seeds)
    return torch.arange(ids.start, ids.stop)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _hash(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
