"""The declaration: what a network was trained on, what it is given and what it returns, in a handful of fields.

The same fields are the arguments of `wrap(network, ...)` and the keys of a model in a suite. Unset fields take the
preset's value, then the default. `resolve` turns them into what a Denoiser holds and checks each, before any weights
are touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from .calling import DEFAULT_CALL, Network
from .expressions import expression
from .levels import Level
from .parameterization import PARAMETERIZATIONS, Parameterization, edm
from .paths import path
from .schedules import OffGrid, Schedule, Table

TimeShape = Literal["(B,)", "()", "(B,1)", "(B,1,1)", "(B,1,1,1)"]
TIME_SHAPES = ("(B,)", "()", "(B,1)", "(B,1,1)", "(B,1,1,1)")
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16")}

LEVEL_NAMES = ("t", "sigma", "alpha", "sigma_t", "log_snr", "index", "T")

_NOT_GAUSSIAN = ("logits", "tokens", "log_probs", "token_logits")


@dataclass(frozen=True)
class Declaration:
    """How to make a Denoiser of a network. None means: not declared."""

    path: Any = None
    """The forward process: a name such as "vp(0.1, 20)", a Schedule, a table or functions; see `paths.path`."""
    output: Any = None
    """What it predicts: "x0", "eps", "v", "score", "flow", "edm(0.5)", a formula in x0 and eps such as "x0 - eps", a
    preconditioning {"c_skip", "c_out", "c_in"}, or a Parameterization."""
    event_shape: tuple[int, ...] | None = None
    """Shape of one sample, such as (3, 32, 32)."""
    time: str | Sequence[float] | Tensor | Callable[[Level], Tensor] | None = None
    """What the network receives as time: a formula in t, sigma, alpha, sigma_t, log_snr, index and T (number of
    steps), a respacing table, or a function of the Level. Default: t, the native time of the path."""
    call: str | Network | None = None
    """How it is called: arguments such as "t, x" or "model(x, t, y=class_labels)", or a function (x_t, time, cond)."""
    pick: str | Callable[[Any], Tensor] | None = None
    """What is taken of its answer: ".sample", "[0]", "[:, :C]", one after the other, or a function."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest value of the data it was trained on; (-1, 1) by default, and for latents and points."""
    off_grid: OffGrid | None = None
    """What a table does between its levels: "interpolate", "snap" or "refuse"; "snap" where time is an index."""
    time_shape: TimeShape | None = None
    """"(B,)" by default; "()" for a scalar, which evaluates rows of one level at a time."""
    batch: int | None = None
    """The only batch size it accepts, such as that of an exported graph."""
    grad: bool | None = None
    """Whether its forward differentiates and so needs autograd."""
    dtype: str | torch.dtype | None = None
    """Of the input; that of the network's parameters by default."""
    classes: int | None = None
    """Number of classes; labels then arrive as class_labels."""
    autoencoder: Any = None
    """For a model of latents: an Autoencoder, one of diffusers' modules, or a spec of one; "none" where the data are
    latents already. event_shape is then that of the latents."""
    text: Any = None
    """How captions become conditioning: a function of prompts, a TextEncoder, a diffusers pipeline, a spec of one, or
    "none"."""

    def over(self, base: Declaration) -> Declaration:
        """These fields where they are set, `base`'s elsewhere."""
        return replace(base, **{name: value for name, value in vars(self).items() if value is not None})

    def described(self) -> dict[str, str]:
        """The fields that are set, in words: the same for the same declaration, in any process."""
        return {name: _described(value) for name, value in vars(self).items() if value is not None}


FIELDS = tuple(field.name for field in fields(Declaration))


@dataclass(frozen=True)
class Resolved:
    """A declaration, checked."""

    schedule: Schedule
    parameterization: Parameterization
    event_shape: tuple[int, ...]
    time: Callable[[Level], Tensor]
    scale: Callable[[Level], Tensor] | None
    """A factor on x_t before it enters the network; None for 1."""
    call: str | Network
    pick: str | Callable[[Any], Tensor] | None
    data_range: tuple[float, float]
    time_shape: str
    batch: int | None
    grad: bool
    dtype: torch.dtype | None
    classes: int | None
    autoencoder: Any
    text: Any


def resolve(declared: Declaration) -> Resolved:
    """Every field checked. Raises ConfigError naming the field, what was expected and what came."""
    missing = [name for name in ("path", "output", "event_shape") if getattr(declared, name) is None]
    if missing:
        raise ConfigError(f"declaration: expected path, output and event_shape, {', '.join(missing)} not given")
    schedule = _with_policy(path(declared.path), declared)
    parameterization, scale = output(declared.output)
    return Resolved(
        schedule,
        parameterization,
        _event_shape(declared.event_shape),
        time_function(declared.time, schedule),
        scale,
        DEFAULT_CALL if declared.call is None else declared.call,
        declared.pick,
        _data_range(declared.data_range),
        _choice("time_shape", declared.time_shape or "(B,)", TIME_SHAPES),
        _positive("batch", declared.batch),
        bool(declared.grad),
        _dtype(declared.dtype),
        _positive("classes", declared.classes),
        declared.autoencoder,
        declared.text,
    )


def output(spec: Any) -> tuple[Parameterization, Callable[[Level], Tensor] | None]:
    """The parameterization a declaration means, and the factor on the network's input that comes with it.

    "edm(sigma_data)" is EDM's raw F with its c_in (arXiv:2206.00364, table 1); a mapping gives c_skip, c_out and c_in
    of D(x) = c_skip x + c_out F(c_in x), x = x_t / alpha, as formulas in sigma or functions of it. Raises ConfigError.
    """
    if isinstance(spec, Parameterization):
        return spec, None
    if isinstance(spec, Mapping):
        return _preconditioned(spec)
    if not isinstance(spec, str):
        raise ConfigError(f"output: expected a name, a formula or a Parameterization, got {type(spec).__name__}")
    text = spec.strip()
    if text in _NOT_GAUSSIAN:
        raise ConfigError(
            f"output: {text!r} is a distribution over tokens; expected a denoiser of x_t = alpha x0 + sigma_t eps with "
            "Gaussian eps, which a discrete diffusion model is not"
        )
    if text in PARAMETERIZATIONS:
        return PARAMETERIZATIONS[text], None
    if text.startswith("-") and text[1:] in PARAMETERIZATIONS:
        return _negated(PARAMETERIZATIONS[text[1:]]), None
    if text.startswith("edm"):
        sigma_data = float(expression(text[3:] or "0.5", (), "output")({}))
        return edm(sigma_data), lambda level: 1.0 / torch.hypot(level.sigma_t, sigma_data * level.alpha)
    if text.isidentifier() or not ("x0" in text or "eps" in text):
        PARAMETERIZATIONS[text]  # raises, with the choices
    return _linear(text), None


def time_function(spec: Any, schedule: Schedule) -> Callable[[Level], Tensor]:
    """What the network receives as time, of the level's shape: float64, or int64 for an index."""
    if spec is None:
        return lambda level: level.time
    if isinstance(spec, str):
        steps = len(schedule.log_sigma) if isinstance(schedule, Table) else None
        names = LEVEL_NAMES if steps else tuple(name for name in LEVEL_NAMES if name not in ("index", "T"))
        formula = expression(spec, names, "time")
        return lambda level: torch.as_tensor(formula(level_values(level, steps))).expand(level.time.shape)
    if callable(spec) and not isinstance(spec, Tensor):
        return spec  # type: ignore[no-any-return]
    values = torch.as_tensor(spec)
    if not isinstance(schedule, Table) or values.shape != schedule.log_sigma.shape:
        raise ConfigError(f"time: expected a respacing table as long as the path's, got {len(values)} for {schedule}")
    return lambda level: values[level.time.round().long()]


def level_values(level: Level, steps: int | None = None) -> dict[str, Any]:
    """What a formula may say of a level."""
    values = {"t": level.time, "sigma": level.sigma, "alpha": level.alpha, "sigma_t": level.sigma_t}
    values["log_snr"] = level.log_snr
    return values if steps is None else {**values, "index": level.time.round().long(), "T": steps}


def _with_policy(schedule: Schedule, declared: Declaration) -> Schedule:
    by_index = (isinstance(declared.time, str) and "index" in declared.time) or (
        isinstance(declared.time, (Sequence, Tensor)) and not isinstance(declared.time, str)
    )
    if isinstance(schedule, Table):
        policy = declared.off_grid or ("snap" if by_index and schedule.off_grid == "interpolate" else schedule.off_grid)
        if policy == "interpolate" and by_index:
            raise ConfigError(
                "off_grid: a network that receives an index knows no level between two: 'snap' or 'refuse'"
            )
        return replace(schedule, off_grid=policy)
    if declared.off_grid is not None:
        raise ConfigError(f"off_grid: expected a path that is a table, got {schedule}")
    return schedule


def _preconditioned(spec: Mapping[str, Any]) -> tuple[Parameterization, Callable[[Level], Tensor]]:
    if set(spec) != {"c_skip", "c_out", "c_in"}:
        raise ConfigError(f"output: expected c_skip, c_out and c_in, got {', '.join(spec)}")

    def of_sigma(name: str) -> Callable[[Tensor], Tensor]:
        given = spec[name]
        if callable(given):
            return lambda sigma: torch.as_tensor(given(sigma)).double().expand(sigma.shape)
        formula = expression(str(given), ("sigma",), f"output.{name}")
        return lambda sigma: torch.as_tensor(formula({"sigma": sigma})).double().expand(sigma.shape)

    c_skip, c_out, c_in = (of_sigma(name) for name in ("c_skip", "c_out", "c_in"))

    def direction(level: Level) -> tuple[Tensor, Tensor]:
        skip, out = c_skip(level.sigma), c_out(level.sigma)
        return (1.0 - skip) / out, -skip * level.sigma / out

    return Parameterization("preconditioned", direction), lambda level: c_in(level.sigma) / level.alpha


def _negated(base: Parameterization) -> Parameterization:
    def direction(level: Level) -> tuple[Tensor, Tensor]:
        c0, c1 = base.direction(level)
        return -c0, -c1

    return Parameterization(f"-{base.name}", direction)


def _linear(text: str) -> Parameterization:
    names = ("x0", "eps", "t", "sigma", "alpha", "sigma_t")
    formula = expression(text, names, "output")

    def direction(level: Level) -> tuple[Tensor, Tensor]:
        def at(x0: float, eps: float) -> Tensor:
            value = formula({**level_values(level), "x0": x0, "eps": eps})
            return torch.as_tensor(value, dtype=torch.float64).expand(level.alpha.shape)

        c0, c1 = at(1.0, 0.0), at(0.0, 1.0)
        if not torch.allclose(at(1.0, 1.0), c0 + c1) or bool((at(0.0, 0.0) != 0).any()):
            raise ConfigError(f"output: expected a formula linear in x0 and eps, got {text!r}")
        return c0, c1

    return Parameterization(text, direction)


def _event_shape(spec: Any) -> tuple[int, ...]:
    if not isinstance(spec, Sequence) or not spec or not all(isinstance(size, int) and size > 0 for size in spec):
        raise ConfigError(f"event_shape: expected positive sizes such as (3, 32, 32), got {spec!r}")
    return tuple(spec)


def _data_range(spec: Any) -> tuple[float, float]:
    if spec is None:
        return (-1.0, 1.0)
    if not isinstance(spec, Sequence) or len(spec) != 2 or not spec[0] < spec[1]:
        raise ConfigError(f"data_range: expected two rising numbers such as (0, 1), got {spec!r}")
    return float(spec[0]), float(spec[1])


def _described(value: Any) -> str:
    if isinstance(value, (Tensor, np.ndarray)):
        values = torch.as_tensor(value).flatten().tolist()
        return f"{len(values)} values from {values[0]:.6g} to {values[-1]:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_described(part)}" for key, part in value.items())
    if callable(value) and not isinstance(value, (Schedule, Parameterization)):
        return str(getattr(value, "__name__", type(value).__name__))
    if isinstance(value, (list, tuple)) and len(value) > 8:
        return _described(torch.tensor(value))
    return value.name if isinstance(value, Parameterization) else str(value)


def _choice(name: str, value: str, choices: Sequence[str]) -> str:
    compact = value.replace(" ", "")
    if compact not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return compact


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ConfigError(f"{name}: expected at least 1, got {value}")
    return value


def _dtype(spec: Any) -> torch.dtype | None:
    if spec is None:
        return None
    if isinstance(spec, torch.dtype):
        return spec
    name = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "fp64": "float64"}.get(spec, spec)
    return DTYPES[_choice("dtype", name, tuple(DTYPES))]
