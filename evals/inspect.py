"""Did I declare it right? The declared convention, tried on real images before anything is run.

At a few noise levels the denoiser's error is set against that of a linear filter, and against what the same network
would do were one thing declared otherwise. The right declaration denoises; the wrong ones don't.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError, ModelError
from .calling import Cond
from .data import DataSet
from .denoiser import Denoiser
from .hypotheses import Hypothesis, hypotheses, reference_error, scaled_state
from .levels import Level, log_snr_levels
from .noise import Noise
from .samplers.grids import finite_range
from .schedules import Table

SURE = 5.0
"""Standard errors, over images, by which another declaration must be better: about one chance in a million, for some
forty hypotheses."""
BETTER = 0.99
"""And its error must be at least this much smaller; less is how a trained network differs from its own best."""

_FEW = 5
"""Images on which a hypothesis must look better before it is asked about all of them."""

_LEVELS = 3
"""Levels that a hypothesis must share with what is declared."""

_LABEL_WORDS = ("label", "class_emb", "classes_emb", "y_emb")


@dataclass(frozen=True)
class Inspection:
    """What was found."""

    convention: dict[str, str]
    """Field -> value, as declared and as resolved."""
    sigmas: list[float]
    ratios: list[float]
    """Error over that of the linear filter, per sigma; above 1 it does not denoise."""
    mistakes: list[str]
    """Likely mistakes, in plain words, the surest first. Empty: consistent with what was declared."""
    notes: list[str]
    """What else is worth knowing."""
    evaluations: int

    @property
    def consistent(self) -> bool:
        return not self.mistakes


def inspect(denoiser: Denoiser, data: DataSet, *, images: int = 32, levels: int = 6, seed: int = 0) -> Inspection:
    """Inspect a denoiser on `images` of the data at `levels` noise levels.

    Raises DataError when the data doesn't fit the model.
    """
    if tuple(data.images.shape[1:]) != denoiser.event_shape:
        raise DataError(f"expected data of {denoiser.event_shape}, got {tuple(data.images.shape[1:])}")
    before = denoiser.evaluations
    trial = _Trial.of(denoiser, data, images, levels, seed)
    mistakes, notes = _looks(denoiser, data)
    ratios: list[float] = []
    try:
        outputs = trial.outputs(denoiser)
        declared = trial.read(denoiser, outputs)
    except (ModelError, ConfigError) as error:
        mistakes.append(str(error))
    else:
        ratios = (declared.mean(1) / trial.reference).tolist()
        others = _other_labels(trial, denoiser, outputs)
        mistakes += (
            _stability(trial, denoiser, outputs)
            or _labels_dropped(others)
            or _compared(trial, denoiser, outputs, declared, others)
        )
        mistakes += [] if mistakes else _labels_unused(declared, others)
        if not mistakes and math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios)) > 1:
            mistakes.append("it does not denoise: its error is larger than a linear filter's, and no one change helps")
    return Inspection(
        convention(denoiser), trial.sigmas.tolist(), ratios, mistakes, notes, denoiser.evaluations - before
    )


def convention(denoiser: Denoiser) -> dict[str, str]:
    """The declared convention and what it comes to."""
    schedule = denoiser.schedule
    times = [denoiser.time(denoiser._native_level(schedule(end))) for end in (schedule.first, schedule.last)]
    return {
        "spec": denoiser.traits.spec,
        **denoiser.traits.declaration,
        "schedule": repr(schedule),
        "predicts": denoiser.parameterization.name,
        "sigma": f"{schedule.sigma_min:.4g} to {schedule.sigma_max:.4g}",
        "time it receives": f"{float(times[0]):.6g} (data) to {float(times[1]):.6g} (noise), {denoiser.time_shape}",
        "shape": str(denoiser.event_shape),
        "range": "[{:g}, {:g}]".format(*denoiser.data_range),
        "dtype": str(denoiser.dtype).removeprefix("torch."),
        "parameters": f"{denoiser.traits.parameters:,}",
    }


@dataclass(frozen=True)
class _Trial:
    """The same images and noise for every hypothesis."""

    x0: Tensor
    eps: Tensor
    """`(L, N, *event_shape)`."""
    cond: Cond
    sigmas: Tensor
    reference: Tensor

    @classmethod
    def of(cls, denoiser: Denoiser, data: DataSet, images: int, levels: int, seed: int) -> _Trial:
        chosen = data.first(images)
        x0 = chosen.images.to(denoiser.device)
        variance = float(x0.var(0).mean()) if len(x0) > 1 else 1.0
        low, high = finite_range(denoiser.schedule)
        spread = math.sqrt(max(variance, 1e-6))
        low, high = max(low, 0.03 * spread), min(high, 30 * spread)
        sigmas = log_snr_levels(*((low, high) if low < high else finite_range(denoiser.schedule)), levels)
        ids = torch.arange(len(x0), device=denoiser.device)
        eps = [Noise(seed).normal(ids, "inspect", step, denoiser.event_shape) for step in range(levels)]
        cond = {"class_labels": chosen.labels} if denoiser.traits.classes and chosen.labels is not None else {}
        reference = torch.tensor([reference_error(variance, float(sigma)) for sigma in sigmas])
        return cls(x0, torch.stack(eps), cond, sigmas, reference.double())

    def first(self, images: int) -> _Trial:
        """The same trial on its first images."""
        cond = {name: part[:images] for name, part in self.cond.items()}
        return replace(self, x0=self.x0[:images], eps=self.eps[:, :images], cond=cond)

    def asked(self, denoiser: Denoiser) -> tuple[Tensor, Level]:
        """x_t and level of every row `(L * N, ...)`, at the denoiser's own levels nearest to the trial's sigmas."""
        low, high = finite_range(denoiser.schedule)
        level = denoiser.level(self.sigmas.clamp(low, high).repeat_interleave(len(self.x0)))
        x0 = self.x0.repeat(len(self.sigmas), *(1,) * (self.x0.ndim - 1))
        return scaled_state(denoiser, level, x0, self.eps.flatten(0, 1)), level

    def outputs(self, denoiser: Denoiser, cond: Cond | None = None) -> Tensor:
        """Raw outputs `(L * N, *event_shape)`; conditioning has one row per image."""
        rows = self.cond if cond is None else cond
        repeated = {name: part.repeat(len(self.sigmas), *(1,) * (part.ndim - 1)) for name, part in rows.items()}
        return denoiser.raw(*self.asked(denoiser), repeated)

    def read(self, denoiser: Denoiser, outputs: Tensor) -> Tensor:
        """Errors `(L, N)`, mean over dimensions, of what the outputs say about x0."""
        x_t, level = self.asked(denoiser)
        seen: Tensor = denoiser.interpret(outputs, x_t, level).x0
        x0 = seen.reshape(len(self.sigmas), *self.x0.shape)
        return (x0 - self.x0).double().square().flatten(2).mean(2).cpu().clamp(min=1e-12)


def _looks(denoiser: Denoiser, data: DataSet) -> tuple[list[str], list[str]]:
    """What can be seen without an evaluation."""
    mistakes: list[str] = []
    notes: list[str] = []
    low, high = float(data.images.min()), float(data.images.max())
    if low >= 0.0 and high <= 1.0:
        mistakes.append(
            f"the data given lies in [{low:g}, {high:g}]: expected images in [-1, 1], the range of every Denoiser"
        )
    elif high > 10.0:
        mistakes.append(f"the data given lies in [{low:g}, {high:g}]: expected images in [-1, 1]")
    mistakes += _shifted_by_one(denoiser)
    if denoiser.guard is None:
        return mistakes, [*notes, "no torch module behind it: changes of its weights can't be seen"]
    if denoiser.guard.was_training:
        notes.append("the model came in train mode; it is evaluated in eval mode")
    if denoiser.traits.classes is None and data.labels is not None and _takes_labels(denoiser.guard.modules):
        mistakes.append("conditioning is dropped: the network embeds class labels, but classes is not declared")
    dtypes = {parameter.dtype for module in denoiser.guard.modules for parameter in module.parameters()}
    if len(dtypes) > 1:
        notes.append(f"parameters of several dtypes: {', '.join(sorted(str(kind) for kind in dtypes))}")
    elif dtypes and dtypes != {denoiser.dtype}:
        notes.append(f"input is {denoiser.dtype}, parameters are {next(iter(dtypes))}")
    return mistakes, notes


def _shifted_by_one(denoiser: Denoiser) -> list[str]:
    """An index that counts from 1, or from -1, over a table's T levels or over a flow's T = 1000.

    Told by what is declared. Errors can't tell: one step changes those of digits-eps by at most 1% at any index, and at
    the right one they would still fall by up to 0.6%, with one more at indices 0 to 3 and with one less at 8: a trained
    network's own best time is further off than that.
    """
    schedule = denoiser.schedule
    ends = (denoiser._native_level(schedule(end)) for end in (schedule.first, schedule.last))
    low, high = sorted(float(denoiser.time(level)) for level in ends)
    steps = len(schedule.log_sigma) - 1 if isinstance(schedule, Table) else 1000
    if low not in (-1.0, 1.0) or high - low != steps:
        return []
    right = f"{steps + 1} levels count 0 to {steps}" if isinstance(schedule, Table) else f"0 to {steps} is usual"
    return [f"the time or index is shifted by one: the network receives {low:g} to {high:g}, where {right}"]


def _takes_labels(modules: list[nn.Module]) -> bool:
    names = (name.lower() for module in modules for name, part in module.named_modules() if list(part.parameters()))
    return any(word in name for name in names for word in _LABEL_WORDS)


def _stability(trial: _Trial, denoiser: Denoiser, outputs: Tensor) -> list[str]:
    """Nondeterminism and dependence on the rest of the batch."""
    size = float(outputs.double().square().mean().sqrt()) or 1.0
    slack = (3e-2 if denoiser.dtype in (torch.bfloat16, torch.float16) else 1e-3) * size
    if _distance(trial.outputs(denoiser), outputs) > slack:
        return [
            "not deterministic: two calls with the same input differ; a model in train mode (dropout), or one that "
            "draws random numbers, such as to drop labels"
        ]
    x_t, level = trial.asked(denoiser)
    alone = denoiser.raw(x_t[:1], level[:1], {name: tensor[:1] for name, tensor in trial.cond.items()})
    if _distance(alone, outputs[:1]) > slack:
        return ["rows depend on the rest of the batch: batch normalisation in train mode, or a network that mixes rows"]
    return []


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).double().abs().max())


def _compared(
    trial: _Trial, denoiser: Denoiser, outputs: Tensor, declared: Tensor, others: list[_OtherLabels]
) -> list[str]:
    """What denoises surely better than what was declared, if there is something: the best of it."""
    found = [(_gain(other.errors, declared), f"the labels are shifted: {other.shift:+d} fits") for other in others]
    few = trial.first(_FEW)
    for hypothesis in hypotheses(denoiser):
        if not hypothesis.same_input:
            glimpse = _errors(few, hypothesis, outputs)
            if glimpse is None or float((glimpse / declared[:, :_FEW]).log().nanmean()) > math.log(BETTER) / 2:
                continue
        errors = _errors(trial, hypothesis, outputs)
        if errors is not None:
            found.append((_gain(errors, declared), hypothesis.text))
    better = [(float(gain.mean()), text) for gain, text in found if _surely_negative(gain)]
    best, text = min(better, default=(0.0, ""))
    return [f"{text} (its error would be {math.exp(best):.2g} times what it is)"] if best < math.log(BETTER) else []


def _gain(errors: Tensor, declared: Tensor) -> Tensor:
    """`(N,)`: the log of the ratio, mean over levels, of every image."""
    return (errors / declared).log().nanmean(0)


def _errors(trial: _Trial, hypothesis: Hypothesis, outputs: Tensor) -> Tensor | None:
    """Errors `(L, N)` under a hypothesis, NaN at levels outside its range; None where the network can't be asked so."""
    other = hypothesis.denoiser
    try:
        low, high = finite_range(other.schedule)
        outside = (trial.sigmas < 0.999 * low) | (trial.sigmas > 1.001 * high)
        if int((~outside).sum()) < _LEVELS:
            return None
        errors = trial.read(other, outputs if hypothesis.same_input else trial.outputs(other))
    except (ModelError, ConfigError):
        return None
    errors[outside] = torch.nan
    return errors


@dataclass(frozen=True)
class _OtherLabels:
    """What the network does with every label turned by `shift` classes."""

    shift: int
    same: bool
    """Its outputs are the same to the last bit."""
    errors: Tensor
    """`(L, N)`."""


def _other_labels(trial: _Trial, denoiser: Denoiser, outputs: Tensor) -> list[_OtherLabels]:
    labels, classes = trial.cond.get("class_labels"), denoiser.traits.classes
    if labels is None or classes is None or classes < 2:
        return []
    found = []
    for shift in sorted({1, -1, classes // 2} if classes > 2 else {1}):
        try:
            turned = trial.outputs(denoiser, {**trial.cond, "class_labels": (labels + shift) % classes})
        except ModelError:
            continue
        found.append(_OtherLabels(shift, bool((turned == outputs).all()), trial.read(denoiser, turned)))
    return found


def _labels_dropped(others: list[_OtherLabels]) -> list[str]:
    dropped = bool(others) and all(other.same for other in others)
    return ["conditioning is dropped: the labels do not reach the network's output"] if dropped else []


def _labels_unused(declared: Tensor, others: list[_OtherLabels]) -> list[str]:
    """Whether wrong labels do as well as the right ones."""
    gains = [(declared / other.errors).log().mean(0) for other in others]
    unused = bool(gains) and not any(_surely_negative(gain, 3.0) for gain in gains)
    return ["the labels are not used: wrong ones do as well as the right ones"] if unused else []


def _surely_negative(gain: Tensor, sure: float = SURE) -> bool:
    return float(gain.mean()) < -sure * float(gain.std()) / math.sqrt(gain.numel())
