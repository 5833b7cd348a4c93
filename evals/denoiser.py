"""Denoiser: E[x0 | x_t] from any network, whatever it predicts and whatever clock it keeps.

It holds a network, its schedule and its parameterization, evaluates in micro-batches of one fixed size (so that a
network's kernels round alike however many samples are asked for), checks what comes back, counts, and never trains.

Every Denoiser works on data in [-1, 1]: x_t, x0 and sigma are in those units whatever range its network was trained on,
so that models of any range stand on one axis. For a network on [low, high] = c -+ u, x_network = u x_t + alpha c and
sigma_network = u sigma; latents and points, which have no range, keep their own units.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelError, SigmascopeError
from ..registry import suggestion
from .calling import Cond, Network, calling, modules_of, only_tensor, picking
from .companions import Autoencoder, TextEncoder, as_autoencoder, as_text_encoder
from .declaration import FIELDS, Declaration, Resolved, resolve
from .guards import Guard
from .levels import Level, broadcast
from .parameterization import Parameterization, Prediction
from .schedules import Schedule

__all__ = ["Cond", "Denoiser", "Network", "Traits", "wrap"]


@dataclass(frozen=True)
class Traits:
    """What is known of a model besides how to evaluate it; recorded with every run."""

    spec: str = "wrapped"
    """How it was loaded, such as diffusers:models/digits-eps."""
    fingerprint: str = ""
    """Hash of the weights; empty where unknown."""
    parameters: int = 0
    classes: int | None = None
    """Number of class labels it is conditioned on; None for an unconditional model."""
    scheduler: Mapping[str, object] = field(default_factory=dict)
    """The scheduler's configuration that came with the model, for driving diffusers' schedulers as its authors did."""
    declaration: Mapping[str, str] = field(default_factory=dict)
    """The declared fields in words; part of a run's identity."""
    trusted: bool = False
    """Whether a pickle was loaded, which may run any code; only on demand."""


class Denoiser:
    """`denoiser(x_t, level, cond) -> x0`, same shape as x_t."""

    def __init__(
        self,
        network: Network,
        schedule: Schedule,
        parameterization: Parameterization,
        event_shape: tuple[int, ...],
        *,
        data_range: tuple[float, float] = (-1.0, 1.0),
        time: Callable[[Level], Tensor] = lambda level: level.time,
        scale: Callable[[Level], Tensor] | None = None,
        time_shape: str = "(B,)",
        grad: bool = False,
        micro_batch: int = 64,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        guard: Guard | None = None,
        traits: Traits | None = None,
        autoencoder: Autoencoder | None = None,
        text: TextEncoder | None = None,
    ) -> None:
        """
        Args:
            network: called with full micro-batches only, under `torch.no_grad` unless `grad`.
            schedule: in the network's own units.
            event_shape: shape of one sample, such as (3, 32, 32).
            data_range: lowest and highest value of clean data as the network knows it.
            time: what the network receives as time, float64 or an integer, from the level in the network's units.
            scale: a factor on the network's input, from the level in the network's units.
            time_shape: see `Declaration`.
            micro_batch: rows per network call. The last call is padded, so results do not depend on how many samples
                are asked for at once.
            guard: watches the network's modules.
            autoencoder: of the latents that x_t and x0 are; the runner puts images through it.
            text: makes conditioning of captions.
        """
        if micro_batch < 1:
            raise ConfigError(f"micro_batch: expected at least 1, got {micro_batch}")
        low, high = data_range
        self.unit, self.center = (high - low) / 2.0, (high + low) / 2.0
        self.network, self.parameterization = network, parameterization
        self.schedule = schedule if self.unit == 1.0 else schedule.rescaled(self.unit)
        """In units of data in [-1, 1]."""
        self.event_shape, self.data_range = tuple(event_shape), data_range
        self.time, self.scale, self.time_shape, self.grad = time, scale, time_shape, grad
        self.micro_batch, self.guard = micro_batch, guard
        self.device, self.dtype = torch.device(device), dtype
        self.traits = traits or Traits()
        self.autoencoder, self.text = autoencoder, text
        self.evaluations = 0
        """Rows evaluated so far, padding not counted."""

    @property
    def dimensions(self) -> int:
        """Number of values in one sample."""
        return math.prod(self.event_shape)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one sample as it is seen: of an image where the network denoises its latents."""
        return self.event_shape if self.autoencoder is None else self.autoencoder.image_shape

    def level(self, sigma: Tensor | float | None = None, *, time: Tensor | float | None = None) -> Level:
        """The model's own level of noise `sigma`, or at a native time; raises ConfigError outside its range.

        A table that snaps gives its nearest entry: the level's sigma is the one that is used.
        """
        if (sigma is None) == (time is None):
            raise ConfigError("level: expected either sigma or time")
        return self.schedule(time) if sigma is None else self.schedule.at(sigma)  # type: ignore[arg-type]

    def __call__(self, x_t: Tensor, level: Level, cond: Cond | None = None) -> Tensor:
        """E[x0 | x_t] for `x_t` `(B, *event_shape)` at a level `()` or `(B,)`."""
        return self.predict(x_t, level, cond).x0

    def denoise(self, scaled: Tensor, sigma: float, cond: Cond | None = None) -> Prediction:
        """The prediction at the scaled state x_t / alpha `(B, *event_shape)` and one finite `sigma`."""
        level = self.level(sigma)
        return self.predict(broadcast(level.alpha, scaled) * scaled, level, cond)

    def predict(self, x_t: Tensor, level: Level, cond: Cond | None = None) -> Prediction:
        """Clean data and noise as the network sees them in `x_t` `(B, *event_shape)`.

        Raises ModelError when the network returns another shape or values that are not finite.
        """
        return self.interpret(self.raw(x_t, level, cond), x_t, level)

    def interpret(self, output: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """What an output of the network at `x_t` says of clean data and noise."""
        seen = self.parameterization.predict(output, self._native(x_t, level), self._native_level(level))
        if self.unit == 1.0 and self.center == 0.0:
            return seen
        return Prediction((seen.x0 - self.center) / self.unit, seen.eps)

    def raw(self, x_t: Tensor, level: Level, cond: Cond | None = None, told: Level | None = None) -> Tensor:
        """The network's own output `(B, *event_shape)`, in `x_t`'s dtype.

        `told` is a level of the same shape whose time the network receives instead: what does it make of its clock?
        """
        if tuple(x_t.shape[1:]) != self.event_shape:
            raise ConfigError(f"x_t: expected rows of shape {self.event_shape}, got {tuple(x_t.shape)}")
        if level.alpha.ndim and len(level.alpha) != len(x_t):
            raise ConfigError(f"level: expected one, or one for each of {len(x_t)} rows, got {len(level.alpha)}")
        for name, tensor in (cond or {}).items():
            if tensor.shape[:1] != x_t.shape[:1]:
                raise ConfigError(f"{name}: expected {len(x_t)} rows, got {tuple(tensor.shape)}")
        output = torch.empty_like(x_t)
        for rows in self._batches(level, len(x_t)):
            part = {name: tensor[rows.to(tensor.device)] for name, tensor in (cond or {}).items()}
            there = rows.to(x_t.device)
            output[there] = self._evaluate(x_t[there], level[rows], part, (told or level)[rows]).to(output)
        self.evaluations += len(x_t)
        return output

    def _batches(self, level: Level, count: int) -> Iterator[Tensor]:
        """Row numbers of each network call; rows of one time only where the network takes a scalar."""
        groups = [torch.arange(count)]
        if self.time_shape == "()" and level.time.ndim:
            groups = [torch.nonzero(level.time == time).flatten() for time in torch.unique(level.time)]
        for group in groups:
            yield from (group[start : start + self.micro_batch] for start in range(0, len(group), self.micro_batch))

    def _evaluate(self, x_t: Tensor, level: Level, cond: Cond, told: Level) -> Tensor:
        """One network call on at most a micro-batch, padded with its first row."""
        count, native = len(x_t), self._native_level(level)
        time = self._time(self._native_level(told), count)
        x = self._native(x_t, level)
        if self.scale is not None:
            x = broadcast(self.scale(native), x) * x
        rows = torch.arange(self.micro_batch, device=self.device)
        rows[count:] = 0
        with contextlib.ExitStack() as mode:
            mode.enter_context(torch.inference_mode(False))
            mode.enter_context(torch.set_grad_enabled(self.grad))
            # indexing copies, so a network that writes into its inputs writes into these
            padded = {name: tensor.to(self.device)[rows] for name, tensor in cond.items()}
            if self.guard is not None:
                self.guard.before()
            output = self._called(x.to(self.device, self.dtype)[rows], time[rows] if time.ndim else time, padded)
            if self.guard is not None:
                self.guard.after()
        return self._checked(output, level, count)

    def _called(self, x: Tensor, time: Tensor, cond: Cond) -> Any:
        try:
            return self.network(x, time, cond)
        except SigmascopeError:
            raise
        except Exception as error:  # whatever foreign code raises
            text = str(error).strip().split("\n")[0]
            hint = "; it takes integer tokens, so it is no Gaussian denoiser" if _wants_integers(error) else ""
            raise ModelError(
                f"{self.traits.spec}: the network failed on x {tuple(x.shape)} {x.dtype}, time {tuple(time.shape)} "
                f"{time.dtype}, conditioning {sorted(cond) or 'none'}: {type(error).__name__}: {text}{hint}"
            ) from error

    def _checked(self, output: Any, level: Level, count: int) -> Tensor:
        expected = (self.micro_batch, *self.event_shape)
        if not isinstance(output, Tensor) or tuple(output.shape) != expected or not output.is_floating_point():
            got = f"{tuple(output.shape)} {output.dtype}" if isinstance(output, Tensor) else _described(output)
            raise ModelError(
                f"{self.traits.spec}: expected the network to return {expected} floats, got {got}"
                + _hint(output, expected)
            )
        output = output[:count].detach()
        broken = ~torch.isfinite(output.flatten(1)).all(1).cpu()
        if bool(broken.any()):
            sigmas = sorted({float(f"{sigma:.4g}") for sigma in level.sigma.expand(count)[broken].tolist()})
            raise ModelError(
                f"{self.traits.spec}: expected finite values, got NaN or infinity for {int(broken.sum())} of {count} "
                f"inputs at sigma {sigmas[:4]}"
            )
        return torch.as_tensor(output)

    def _time(self, native: Level, count: int) -> Tensor:
        """An index stays an integer; half precision would space times above 512 four apart, so they are float32."""
        time = self.time(native)
        if time.is_floating_point():
            time = time.to(torch.promote_types(self.dtype, torch.float32))
        time = time.to(self.device)
        if self.time_shape == "()":
            return time.reshape(-1)[0]
        return time.expand(count).reshape(count, *(1,) * self.time_shape.count("1"))

    def _native(self, x_t: Tensor, level: Level) -> Tensor:
        if self.unit == 1.0 and self.center == 0.0:
            return x_t
        return self.unit * x_t + self.center * broadcast(level.alpha, x_t)

    def _native_level(self, level: Level) -> Level:
        return level if self.unit == 1.0 else level.rescaled(1.0 / self.unit)


def wrap(
    network: nn.Module | Callable[..., Any],
    path: Any = None,
    output: Any = None,
    event_shape: tuple[int, ...] | None = None,
    *,
    time: Any = None,
    call: str | Network | None = None,
    pick: str | Callable[[Any], Tensor] | None = None,
    data_range: tuple[float, float] | None = None,
    off_grid: Any = None,
    time_shape: Any = None,
    batch: int | None = None,
    grad: bool | None = None,
    dtype: str | torch.dtype | None = None,
    classes: int | None = None,
    autoencoder: Any = None,
    text: Any = None,
    preset: Declaration | None = None,
    micro_batch: int = 64,
    device: torch.device | str = "cpu",
    traits: Traits | None = None,
    **unknown: object,
) -> Denoiser:
    """A Denoiser from a network you already hold. The fields are those of `Declaration`, documented there.

    Args:
        network: a module, which is moved to `device` and put in eval mode, or anything that can be called.
        preset: a Declaration whose fields stand where none is given here, such as one of `loading.presets`.
        micro_batch: rows per network call.

    Raises ConfigError for a declaration that can't be right, naming the field and the choices.

    Example:
        >>> halve = wrap(lambda x, t: x / (1 + t.reshape(-1, 1) ** 2), "edm", "x0", (2,))
        >>> halve.denoise(torch.ones(1, 2), 1.0).x0
        tensor([[0.5000, 0.5000]])
    """
    for name in unknown:
        raise ConfigError(f"wrap: unknown field {name!r}{suggestion(name, FIELDS)}; fields are {', '.join(FIELDS)}")
    declared = Declaration(
        path, output, event_shape, time, call, pick, data_range, off_grid, time_shape, batch, grad, dtype, classes,
        autoencoder, text,
    )  # fmt: skip
    return declare(
        network, declared.over(preset or Declaration()), micro_batch=micro_batch, device=device, traits=traits
    )


def declare(
    network: Any,
    declaration: Declaration,
    *,
    micro_batch: int = 64,
    device: torch.device | str = "cpu",
    traits: Traits | None = None,
) -> Denoiser:
    """The Denoiser that a declaration makes of a network."""
    resolved = resolve(declaration)
    modules = modules_of(network)
    if callable(declaration.call):
        modules += [module for module in modules_of(declaration.call) if all(module is not known for known in modules)]
    if isinstance(network, nn.Module):
        network = modules[0] = _moved(network, device)
    guard = Guard(modules, traits.spec if traits else "the network") if modules else None
    parameters = [parameter for module in modules for parameter in module.parameters()]
    traits = traits or Traits(parameters=sum(parameter.numel() for parameter in parameters))
    traits = replace(traits, declaration=declaration.described(), classes=resolved.classes or traits.classes)
    own_dtype = next((parameter.dtype for parameter in parameters if parameter.is_floating_point()), torch.float32)
    return Denoiser(
        _network(network, resolved),
        resolved.schedule,
        resolved.parameterization,
        resolved.event_shape,
        data_range=resolved.data_range,
        time=resolved.time,
        scale=resolved.scale,
        time_shape=resolved.time_shape,
        grad=resolved.grad,
        micro_batch=resolved.batch or micro_batch,
        device=device,
        dtype=resolved.dtype or own_dtype,
        guard=guard,
        traits=traits,
        autoencoder=as_autoencoder(resolved.autoencoder, resolved.event_shape, device),
        text=as_text_encoder(resolved.text),
    )


def _network(network: Any, resolved: Resolved) -> Network:
    channels = resolved.event_shape[0]
    call = calling(network, resolved.call, channels) if isinstance(resolved.call, str) else resolved.call
    chosen = resolved.pick
    pick = only_tensor if chosen is None else picking(chosen, channels) if isinstance(chosen, str) else chosen
    return lambda x_t, time, cond: only_tensor(pick(call(x_t, time, cond)))


def _moved(network: nn.Module, device: torch.device | str) -> nn.Module:
    moved = network.to(device)
    return moved if isinstance(moved, nn.Module) else network


def _described(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with {', '.join(map(str, output))}"
    if isinstance(output, (list, tuple)):
        return f"a {type(output).__name__} of {len(output)}"
    public = [name for name in vars(output) if name[0] != "_"] if hasattr(output, "__dict__") else []
    return f"{type(output).__name__}" + (f" with {', '.join(public)}" if public else "")


def _hint(output: Any, expected: tuple[int, ...]) -> str:
    if not isinstance(output, Tensor):
        return "; say what to take of it with pick, such as '.sample' or '[0]'"
    shape = tuple(output.shape)
    if len(shape) == len(expected) and len(shape) > 1 and shape[1] == 2 * expected[1] and shape[2:] == expected[2:]:
        return "; twice the channels, as with a learned variance: pick='[:, :C]' takes the first half"
    if len(shape) == len(expected) + 1 and shape[:-1] == expected:
        return "; one value more per position, as of logits over tokens: no Gaussian denoiser"
    return ""


def _wants_integers(error: Exception) -> bool:
    return "Long, Int" in str(error) or "indices must be" in str(error)
