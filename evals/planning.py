"""From a suite to a plan: load everything it names, check that all fits together, list its cells.

Suite -> prepare -> Plan (its cells: planned_cells.py) -> runner.py. What can be known to fail is known here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from . import noise as noise_module
from .commit import current_commit
from .conditioning import captioned, steered
from .data import METADATA, DataSet, load_data, seen_by
from .denoiser import Denoiser
from .environment import describe_environment, usable_device
from .levels import log_snr_levels
from .models import load_model
from .neighbours import Training
from .noise import Noise
from .planned_cells import Cell, hashed, planned_cells, seeds_of
from .probes import SETS, Probe, Subject, probe
from .samplers.grids import finite_range
from .scoring import Scorer
from .suite import Suite


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
    device = usable_device(device)
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
        "levels": hashed([float(sigma) for sigma in sigmas]),
        "draws": _draws(suite),
        "seeds": seeds_of(sampling, limit) if sampling else "",
        "features": scorer.fingerprint if scorer else "",
    }
    environment = describe_environment(device)
    if commit := current_commit(Path.cwd()):
        environment["commit"] = commit
    trusted = [name for name, denoiser in denoisers.items() if denoiser.traits.trusted]
    if trusted:
        environment["trusted_pickles"] = ", ".join(trusted)
    cells = planned_cells(suite, denoisers, data, train, sigmas, probes, subjects, fingerprint, environment, limit)
    for denoiser in denoisers.values():
        denoiser.evaluations = 0
    training = Training(train, data) if train and sampling and sampling.thumbnails and data.images.ndim == 4 else None
    # what follows from other cells decides nothing: runs made before there were such cells are found again
    keys = [cell.key for cell in cells if cell.kind != "losses"]
    run_id = f"{suite.name}-{hashed([*keys, suite.name, suite.baseline_name])[:8]}"
    return Plan(
        suite, run_id, data, denoisers, sigmas, cells, fingerprint, environment, scorer, probes, subjects, training,
        batch_size,
    )  # fmt: skip


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


def _draws(suite: Suite) -> str:
    """Noise draws of each image; adaptive passes to any precision share theirs, in one order."""
    if suite.probes is None:
        return "0"
    return str(suite.probes.draws) if suite.probes.target is None else "adaptive"


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
