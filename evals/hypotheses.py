"""What a declaration may have got wrong: each mistake as a denoiser with that one thing changed.

A hypothesis is asked the same questions as the declared denoiser; the one that denoises best is what the model looks
like. Reinterpretations of the output cost no evaluation; the others cost one pass each.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .calling import Cond
from .declaration import level_values, output
from .denoiser import Denoiser
from .expressions import expression
from .levels import Level, broadcast
from .parameterization import PARAMETERIZATIONS, Parameterization
from .paths import PATHS, FlowMatching
from .schedules import EDM, VE, RectifiedFlow, Schedule, Table


@dataclass(frozen=True)
class Hypothesis:
    """One thing that may be otherwise than declared."""

    text: str
    """The likely mistake, in plain words."""
    denoiser: Denoiser
    same_input: bool = False
    """The network would be asked the very same, so its outputs can be read anew."""


def hypotheses(denoiser: Denoiser) -> Iterator[Hypothesis]:
    """Every single mistake that is known, the likely ones first."""
    yield from _outputs(denoiser)
    yield from _clocks(denoiser)
    yield from _ranges(denoiser)
    yield from _paths(denoiser)
    yield from _inputs(denoiser)


def _outputs(denoiser: Denoiser) -> Iterator[Hypothesis]:
    declared = denoiser.parameterization.name
    level = denoiser.schedule(denoiser.schedule.first)
    for name in ("x0", "eps", "v", "flow", "score"):
        if name == "flow" and level.d_alpha is None:
            continue
        base = PARAMETERIZATIONS[name]
        for sign, parameterization in (("", base), ("-", _negated(base))):
            if sign + name != declared:
                made = _changed(denoiser, parameterization=parameterization)
                yield Hypothesis(f"the output looks like {sign}{name}, declared {declared}", made, same_input=True)
    for sigma_data in () if declared.startswith("F") else (0.5, 1.0):
        parameterization, c_in = output(f"edm({sigma_data})")
        text = f"the output looks like EDM's F (sigma_data {sigma_data:g}), declared {declared}"
        yield Hypothesis(text, _changed(denoiser, parameterization=parameterization), same_input=True)
        if denoiser.scale is None:
            yield Hypothesis(text, _changed(denoiser, parameterization=parameterization, scale=c_in))


def _clocks(denoiser: Denoiser) -> Iterator[Hypothesis]:
    schedule = denoiser.schedule
    yield Hypothesis("time runs the other way: the network wants it reversed", _reversed(denoiser))
    if (mirrored := _mirrored(denoiser)) is not None:
        yield Hypothesis("the path runs the other way: data and noise are at the other ends of time", mirrored)
    span = abs(schedule.last - schedule.first)
    for share in (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2):
        for shift in (-share * span, share * span):
            shift = round(shift) if isinstance(schedule, Table) else shift
            if shift:
                made = _retimed(denoiser, lambda values, by=shift: values + by, at_native=True)
                text = f"{abs(shift):.4g} too {'low' if shift > 0 else 'high'}"
                yield Hypothesis(f"the time or index is shifted: what the network receives is {text}", made)
    for factor, text in ((1000.0, "1000 times larger"), (1 / 1000.0, "1000 times smaller")):
        made = _retimed(denoiser, lambda values, by=factor: values * by)
        yield Hypothesis(f"the time is on another scale: the network wants it {text}", made)
    for formula in ("sigma", "log(sigma)", "log(sigma)/4", "250*log(sigma)", "log_snr", "-log_snr", "t"):
        made = _with_formula(denoiser, formula)
        yield Hypothesis(_clock_text(denoiser, made, formula), made)


def _ranges(denoiser: Denoiser) -> Iterator[Hypothesis]:
    native = denoiser.schedule.rescaled(1.0 / denoiser.unit)
    low, high = denoiser.data_range
    for other in ((-1.0, 1.0), (0.0, 1.0), (-0.5, 0.5), (0.0, 255.0)):
        if other == (low, high):
            continue
        unit, center = (other[1] - other[0]) / 2, (other[1] + other[0]) / 2
        made = _changed(denoiser, schedule=native.rescaled(unit), unit=unit, center=center, data_range=other)
        yield Hypothesis(f"data in [{other[0]:g}, {other[1]:g}], declared [{low:g}, {high:g}]", made)


def _paths(denoiser: Denoiser) -> Iterator[Hypothesis]:
    schedule = denoiser.schedule.rescaled(1.0 / denoiser.unit)
    names: tuple[str, ...]
    if isinstance(schedule, Table):
        names = ("linear", "scaled_linear", "cosine_betas")
    elif isinstance(schedule, (EDM, VE)):
        names = ("vp_sigma",) if isinstance(schedule, EDM) else ()
    else:
        names = ("vp", "sub_vp", "cosine", "rectified_flow", "vp_sigma", "edm")
    for name in names:
        other = PATHS[name](steps=len(schedule.log_sigma)) if isinstance(schedule, Table) else PATHS[name]()
        if isinstance(other, Table) and isinstance(schedule, Table):
            if len(other.log_sigma) == len(schedule.log_sigma) and torch.allclose(other.log_sigma, schedule.log_sigma):
                continue
            other = replace(other, off_grid=schedule.off_grid)
        if repr(other) != repr(schedule) or isinstance(other, Table):
            made = _changed(denoiser, schedule=other.rescaled(denoiser.unit))
            yield Hypothesis(f"the path looks like {name}, declared {schedule!r}", made)


def _inputs(denoiser: Denoiser) -> Iterator[Hypothesis]:
    def scaled(text: str, factor: str) -> Hypothesis:
        formula = expression(factor, ("alpha", "sigma"), "scale")
        base = denoiser.scale
        made = _changed(
            denoiser,
            scale=lambda level: (base(level) if base else 1.0) * torch.as_tensor(formula(level_values(level))),
        )
        return Hypothesis(f"the input is on another scale: the network wants {text}", made)

    level = denoiser.schedule(denoiser.schedule.first)
    other_end = denoiser.schedule(denoiser.schedule.last)
    if bool(level.alpha == other_end.alpha):
        yield scaled("x / sqrt(1 + sigma^2)", "1/sqrt(1 + sigma**2)")
        yield scaled("x / sqrt(0.25 + sigma^2), EDM's c_in", "1/sqrt(0.25 + sigma**2)")
    else:
        yield scaled("x_t / alpha, the variance-exploding state", "1/alpha")
    if denoiser.event_shape[0] == 3 and len(denoiser.event_shape) == 3:
        network = denoiser.network

        def flipped(x_t: Tensor, time: Tensor, cond: Cond) -> Tensor:
            return torch.as_tensor(network(x_t.flip(1), time, cond)).flip(1)

        yield Hypothesis("the channels are in the other order (BGR)", _changed(denoiser, network=flipped))


def _changed(denoiser: Denoiser, **fields: object) -> Denoiser:
    made = copy.copy(denoiser)
    vars(made).update(fields)
    return made


def _negated(base: Parameterization) -> Parameterization:
    def direction(level: Level) -> tuple[Tensor, Tensor]:
        c0, c1 = base.direction(level)
        return -c0, -c1

    return Parameterization(f"-{base.name}", direction)


def _retimed(denoiser: Denoiser, change: object, at_native: bool = False) -> Denoiser:
    """Another time for the same levels: of the network's, or of the native one that it is made from."""
    assert callable(change)
    time, schedule = denoiser.time, denoiser.schedule
    low, high = sorted((schedule.first, schedule.last))

    def moved(level: Level) -> Tensor:
        if not at_native:
            return torch.as_tensor(change(time(level)))
        return time(schedule(change(level.time).clamp(low, high)).rescaled(1.0 / denoiser.unit))

    return _changed(denoiser, time=moved)


def _reversed(denoiser: Denoiser) -> Denoiser:
    ends = denoiser.schedule.first + denoiser.schedule.last
    return _retimed(denoiser, lambda time: ends - time, at_native=True)


def _mirrored(denoiser: Denoiser) -> Denoiser | None:
    """A flow with its ends exchanged; on other paths that is the reversed clock."""
    schedule = denoiser.schedule.rescaled(1.0 / denoiser.unit)
    if isinstance(schedule, RectifiedFlow):
        other: Schedule = FlowMatching()
    elif isinstance(schedule, FlowMatching):
        other = RectifiedFlow()
    else:
        return None
    return _changed(denoiser, schedule=other.rescaled(denoiser.unit))


def _clock_text(denoiser: Denoiser, other: Denoiser, formula: str) -> str:
    """A clock that differs by a constant is shifted; by its sign, reversed; by a factor, scaled; else another one."""
    low, high = sorted((denoiser.schedule.first, denoiser.schedule.last))
    times = low + (high - low) * torch.tensor([0.2, 0.8], dtype=torch.float64)
    times = times.round() if isinstance(denoiser.schedule, Table) else times
    level = denoiser.schedule(times).rescaled(1.0 / denoiser.unit)
    given, wanted = denoiser.time(level).double(), other.time(level).double()
    shift, factor = given - wanted, given / wanted
    if bool((shift[0] - shift[1]).abs() < 1e-6 * wanted.abs().max()):
        text = f"{abs(float(shift[0])):.4g} too {'high' if shift[0] > 0 else 'low'}"
        return f"the time or index is shifted: what the network receives is {text}"
    if bool(((given + wanted)[0] - (given + wanted)[1]).abs() < 1e-6 * wanted.abs().max()):
        return f"time runs the other way: the network wants {formula}"
    if bool((factor[0] / factor[1] - 1).abs() < 1e-6):
        return (
            f"the time is on another scale: the network wants {formula}, {float(1 / factor[0]):.4g} times what it gets"
        )
    return f"the time looks like {formula}, declared otherwise"


def _with_formula(denoiser: Denoiser, text: str) -> Denoiser:
    formula = expression(text, ("t", "sigma", "log_snr"), "time")
    return _changed(denoiser, time=lambda level: torch.as_tensor(formula(level_values(level))))


def reference_error(variance: float, sigma: float) -> float:
    """The error of the best linear filter that knows the data's mean and variance: l s^2 / (l + s^2)."""
    return variance * sigma**2 / (variance + sigma**2) if math.isfinite(sigma) else variance


def scaled_state(denoiser: Denoiser, level: Level, x0: Tensor, eps: Tensor) -> Tensor:
    """x_t = alpha x0 + sigma_t eps."""
    return broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
