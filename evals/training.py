"""A look at a model in training: the denoising error at every noise level, in a few lines and within a budget.

A batch of clean images -> `probe` -> Reading -> a logger (loggers.py). Levels follow from the schedule, noise from the
seed and each image's place in the batch: with the same batch, readings at steps 1,000 and 100,000 are of the same
images under the same noise, so what differs between them is the model. Nothing of the training is touched: modes,
weights and random states are afterwards what they were.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError
from .data import DataSet, seen_by
from .declaration import Declaration
from .denoiser import Denoiser, declare
from .guards import Guard
from .levels import log_snr_levels
from .loggers import Logger, as_logger
from .noise import Noise
from .probes import SETS, Probe, Subject, cost, curves, denoising_error, evaluate_rows
from .probes import probe as probe_named
from .probes.adaptive import order_of, rows_of
from .probes.engine import Columns, observed
from .samplers.grids import finite_range

Weights = nn.Module | Mapping[str, Tensor] | contextlib.AbstractContextManager[Any]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model in training did at each noise level."""

    levels: pd.DataFrame
    """A row a level: level, sigma, log_snr, time, error (x0 mean square per dimension), low, high (95%), images,
    draws."""
    curves: pd.DataFrame
    """The other probes' quantities per level, as in a run's table `curves`."""
    evaluations: int
    """Network evaluations spent."""

    def scalars(self) -> dict[str, float]:
        """Numbers by names that stay from step to step, "denoising_error/sigma_0.44", "calibration.slope/sigma_0.44";
        and "denoising_error/mean", the geometric mean over levels, in which a level counts by its relative change.
        """
        named = dict(zip(self.levels["level"], _named(self.levels["sigma"].to_numpy()), strict=True))
        errors = self.levels["error"].to_numpy(np.float64)
        found = {f"denoising_error/{named[level]}": float(e) for level, e in zip(named, errors, strict=True)}
        with np.errstate(divide="ignore"):  # a level without any error makes it 0
            found["denoising_error/mean"] = float(np.exp(np.log(errors).mean()))
        shown = self.curves[self.curves["slice"] == "all"]
        names = shown["probe"] + "." + shown["quantity"] + "/" + shown["level"].map(named)
        return found | dict(zip(names, shown["value"].astype(float), strict=True))

    def log(self, logger: Logger | Any, step: int) -> None:
        """Log the scalars. `logger`: one of loggers.py, a TensorBoard SummaryWriter, a W&B run, a Lightning logger, or
        "mlflow" or "wandb" for the active run. Raises ConfigError for anything else, or for a missing package."""
        as_logger(logger).scalars(self.scalars(), step)


def probe(
    denoiser: Denoiser | nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    budget: int = 1536,
    levels: int = 12,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    probes: Sequence[str] | None = None,
    weights: Weights | None = None,
    declaration: Declaration | None = None,
    seed: int = 0,
) -> Reading:
    """The denoising error per noise level, with 95% intervals over images, and the probes that cost nothing more.

    Args:
        denoiser: from `wrap`, made once; or the network itself, with a `declaration`.
        images: clean data `(N, *event_shape)` in [-1, 1] (or images that the denoiser's autoencoder encodes), on any
            device. Held out, and the same at every call, or curves are not paired.
        labels: classes `(N,)`, for a class-conditional model.
        budget: network evaluations, at most. Each level gets as many images, in an order that hangs on the seed alone,
            and further noise draws of each where the batch is smaller than that.
        levels: uniform in log-SNR over [sigma_min, sigma_max], by default the schedule's own range.
        probes: names of probes, such as "sure(images=16)"; by default those of "default" that apply.
        weights: what to evaluate in place of the network's own parameters, such as the EMA: a module or a mapping with
            the same names, or a context within which the network has them, such as `ema.average_parameters()`.
        seed: of the noise.

    Raises ConfigError, DataError or ModelError, before anything is evaluated where it can be known; training modes and
    weights are restored in any case.

    Example:
        >>> denoiser = sigmascope.wrap(lambda x, t: x / (1 + t.reshape(-1, 1) ** 2), "edm", "x0", (2,))
        >>> reading = sigmascope.probe(denoiser, torch.rand(64, 2), levels=4, sigma_min=0.01, sigma_max=10.0)
        >>> list(reading.scalars())[:2]
        ['denoising_error/sigma_0.01', 'denoising_error/sigma_0.1']
    """
    with contextlib.ExitStack() as stack:
        for module in _roots(denoiser):
            stack.enter_context(same_modes(module))
        asked = _asked(denoiser, declaration, images)
        cuda = [asked.device] if asked.device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(cuda))
        stack.enter_context(_evaluating(asked, weights))
        low, high = finite_range(asked.schedule)
        sigmas = log_snr_levels(sigma_min or low, sigma_max or high, levels)
        subject = Subject(asked, _data(asked, images, labels), sigmas, Noise(seed))
        return _read(subject, _chosen(probes, subject), budget)


def _read(subject: Subject, probes: Sequence[Probe], budget: int) -> Reading:
    levels, images = len(subject.sigmas), len(subject.data.images)
    units = budget // (levels * (1 + sum(probe.evaluations for probe in probes)))
    if units >= images:
        units -= units % images
    draws, some = max(1, units // images), min(units, images)
    if units < 2 or cost(probes, levels, draws, some) > budget:
        least = cost(probes, levels, 1, 2)
        raise ConfigError(f"budget: expected at least {least} evaluations for {levels} levels, got {budget}")
    order = order_of(images, subject.noise)
    rank = torch.argsort(order)
    rows = rows_of(np.zeros(levels, np.int64), np.full(levels, units), order)
    table = Columns(len(rows.image))
    for seen in evaluate_rows(subject, rows):
        table.append(observed(seen, subject, probes, lambda evaluations: None, rank))
    found = table.frame().assign(model="model")
    return Reading(
        denoising_error.levels(found, subject.denoiser, subject.sigmas).drop(columns="model"),
        curves(found, probes),
        subject.denoiser.evaluations,
    )


def _asked(denoiser: Denoiser | nn.Module, declaration: Declaration | None, images: Tensor) -> Denoiser:
    """A copy to ask, with a guard that knows the weights of today, where they are today."""
    if not isinstance(denoiser, Denoiser):
        if declaration is None:
            raise ConfigError(
                "declaration: expected one beside a bare network, such as Declaration(path='edm', output='x0'); or "
                "give what wrap(network, ...) returns"
            )
        shape = declaration.event_shape or tuple(images.shape[1:])
        parameter = next(denoiser.parameters(), torch.empty(0))
        denoiser = declare(denoiser, Declaration(event_shape=shape).over(declaration), device=parameter.device)
    made = copy.copy(denoiser)
    made.evaluations = 0
    if denoiser.guard is not None:
        made.guard = Guard(denoiser.guard.modules, denoiser.guard.name)
        tensors = [tensor for module in made.guard.modules for tensor in module.parameters()]
        made.device = tensors[0].device if tensors else denoiser.device
    return made


def _data(denoiser: Denoiser, images: Tensor, labels: Tensor | None) -> DataSet:
    if denoiser.traits.classes is not None and labels is None:
        raise DataError(f"labels: expected one for each image, as the model has {denoiser.traits.classes} classes")
    labels = None if labels is None else labels.detach().long().cpu()
    shape = tuple(images.shape[1:])
    data = DataSet(images.detach().float(), labels, "batch")
    if shape == denoiser.event_shape:
        return data
    if shape != denoiser.image_shape:
        raise DataError(f"images: expected (N, *{denoiser.event_shape}), got {tuple(images.shape)}")
    return seen_by(denoiser, data)


def _chosen(names: Sequence[str] | None, subject: Subject) -> list[Probe]:
    if names is not None:
        chosen = [probe_named(name) for name in names]
        for one in chosen:
            one.check(subject)
        return chosen
    return [one for one in map(probe_named, SETS["default"]) if one.evaluations == 0 and one.applies(subject)]


def _roots(denoiser: Denoiser | nn.Module) -> list[nn.Module]:
    if isinstance(denoiser, nn.Module):
        return [denoiser]
    return [] if denoiser.guard is None else denoiser.guard.modules


@contextlib.contextmanager
def same_modes(root: nn.Module) -> Iterator[None]:
    """Every submodule's train or eval mode is afterwards what it was."""
    modes = [(module, module.training) for module in root.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def _evaluating(denoiser: Denoiser, weights: Weights | None) -> Iterator[None]:
    """Without gradients, with these weights."""
    modules = [] if denoiser.guard is None else denoiser.guard.modules
    with torch.no_grad():
        if weights is None:
            yield
        elif isinstance(weights, nn.Module | Mapping):
            with _exchanged(modules, weights.state_dict() if isinstance(weights, nn.Module) else weights):
                yield
        else:
            with weights:
                yield


@contextlib.contextmanager
def _exchanged(modules: Sequence[nn.Module], weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The network's parameters and buffers point to other memory for a while: nothing is copied or written."""
    if len(modules) != 1:
        raise ConfigError(f"weights: expected a denoiser with one module to put them in, got {len(modules)}")
    own = {name: value for name, value in modules[0].state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    differing = sorted(own.keys() ^ weights.keys()) or [n for n in own if own[n].shape != weights[n].shape]
    if differing:
        raise ConfigError(
            f"weights: expected the network's names and shapes, they differ in {', '.join(differing[:4])}"
        )
    kept = {name: tensor.data for name, tensor in own.items()}
    try:
        for name, tensor in own.items():
            tensor.data = weights[name].detach().to(tensor.device, tensor.dtype)
        yield
    finally:
        for name, tensor in own.items():
            tensor.data = kept[name]


def _named(sigmas: np.ndarray) -> list[str]:
    """Three digits, or as many as tell the levels apart; no exponents, which some loggers refuse in names."""
    for digits in range(3, 18):
        texts = [np.format_float_positional(s, digits, unique=False, fractional=False, trim="-") for s in sigmas]
        if len(set(texts)) == len(texts):
            break
    return [f"sigma_{text}" for text in texts]
