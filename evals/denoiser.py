"""Denoiser: E[x0 | x_t] from any network, whatever it predicts and whatever clock it keeps.

It holds a network, its schedule and its parameterization, evaluates in micro-batches of one fixed size (so that a
network's kernels round alike however many samples are asked for), checks what comes back, counts, and never trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelError
from .levels import Level, broadcast
from .parameterization import PARAMETERIZATIONS, Parameterization, Prediction
from .schedules import Schedule

Cond = Mapping[str, Tensor]
"""Conditioning: named tensors with one row per sample, such as {"class_labels": (B,)}."""

Network = Callable[[Tensor, Tensor, Cond], Tensor]
"""(x_t (B, *), time (B,), cond) -> raw output (B, *)."""


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
        micro_batch: int = 64,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        traits: Traits | None = None,
    ) -> None:
        """
        Args:
            network: called under `torch.no_grad` with full micro-batches only.
            event_shape: shape of one sample, such as (3, 32, 32).
            data_range: lowest and highest value of clean data.
            time: what the network receives as time, from the level. It arrives in `dtype`, but never below float32:
                bfloat16 would turn timestep 999 into 1000.
            micro_batch: rows per network call. The last call is padded, so results do not depend on how many samples
                are asked for at once.
        """
        if micro_batch < 1:
            raise ConfigError(f"micro_batch: expected at least 1, got {micro_batch}")
        self.network, self.schedule, self.parameterization = network, schedule, parameterization
        self.event_shape, self.data_range = tuple(event_shape), data_range
        self.time, self.micro_batch = time, micro_batch
        self.device, self.dtype = torch.device(device), dtype
        self.traits = traits or Traits()
        self.evaluations = 0
        """Rows evaluated so far, padding not counted."""

    @property
    def dimensions(self) -> int:
        """Number of values in one sample."""
        return math.prod(self.event_shape)

    def level(self, sigma: Tensor | float) -> Level:
        """The model's own level of noise `sigma`; raises ConfigError outside its range."""
        return self.schedule.at(sigma)

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
        return self.parameterization.predict(self.raw(x_t, level, cond), x_t, level)

    def raw(self, x_t: Tensor, level: Level, cond: Cond | None = None) -> Tensor:
        """The network's own output `(B, *event_shape)`, in `x_t`'s dtype."""
        if tuple(x_t.shape[1:]) != self.event_shape:
            raise ConfigError(f"x_t: expected rows of shape {self.event_shape}, got {tuple(x_t.shape)}")
        cond = cond or {}
        if level.alpha.ndim and len(level.alpha) != len(x_t):
            raise ConfigError(f"level: expected one, or one for each of {len(x_t)} rows, got {len(level.alpha)}")
        for name, tensor in cond.items():
            if tensor.shape[:1] != x_t.shape[:1]:
                raise ConfigError(f"{name}: expected {len(x_t)} rows, got {tuple(tensor.shape)}")
        outputs = []
        for start in range(0, len(x_t), self.micro_batch):
            rows = slice(start, start + self.micro_batch)
            part = {name: tensor[rows] for name, tensor in cond.items()}
            outputs.append(self._evaluate(x_t[rows], level[rows], part))
        self.evaluations += len(x_t)
        return torch.cat(outputs).to(x_t.dtype)

    def _evaluate(self, x_t: Tensor, level: Level, cond: Cond) -> Tensor:
        """One network call on at most a micro-batch, padded with its first row."""
        count = len(x_t)
        time = self.time(level).to(torch.promote_types(self.dtype, torch.float32)).to(self.device).expand(count)
        rows = torch.arange(self.micro_batch, device=self.device)
        rows[count:] = 0
        padded = {name: tensor.to(self.device)[rows] for name, tensor in cond.items()}
        with torch.no_grad():
            output = self.network(x_t.to(self.device, self.dtype)[rows], time[rows], padded)
        expected = (self.micro_batch, *self.event_shape)
        if not isinstance(output, Tensor) or tuple(output.shape) != expected or not output.is_floating_point():
            got = f"{tuple(output.shape)} {output.dtype}" if isinstance(output, Tensor) else type(output).__name__
            raise ModelError(f"{self.traits.spec}: expected the network to return {expected} floats, got {got}")
        output = output[:count]
        broken = ~torch.isfinite(output.flatten(1)).all(1).cpu()
        if bool(broken.any()):
            sigmas = sorted({float(f"{sigma:.4g}") for sigma in level.sigma.expand(count)[broken].tolist()})
            raise ModelError(
                f"{self.traits.spec}: expected finite values, got NaN or infinity for {int(broken.sum())} of {count} "
                f"inputs at sigma {sigmas[:4]}"
            )
        return output


def wrap(
    network: nn.Module | Callable[..., Tensor],
    schedule: Schedule,
    predicts: str | Parameterization,
    event_shape: tuple[int, ...],
    *,
    data_range: tuple[float, float] = (-1.0, 1.0),
    time: Callable[[Level], Tensor] = lambda level: level.time,
    call: Network | None = None,
    micro_batch: int = 64,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    traits: Traits | None = None,
) -> Denoiser:
    """A Denoiser from a network you already hold.

    Args:
        network: called as `network(x_t, time)`, or `network(x_t, time, **cond)` when there is conditioning, unless
            `call` says otherwise. A module is put in eval mode and moved to `device`.
        predicts: "x0", "eps", "v", "score", "flow", "F", or a Parameterization.
        time: what the network receives as time; the schedule's native time by default.
        call: how to call it, `(x_t, time, cond) -> output`, when the default doesn't fit.

    Example:
        >>> from sigmascope.evals.schedules import EDM
        >>> halve = wrap(lambda x, t: x / (1 + t.reshape(-1, 1) ** 2), EDM(), "x0", (2,))
        >>> halve.denoise(torch.ones(1, 2), 1.0).x0
        tensor([[0.5000, 0.5000]])
    """
    if isinstance(network, nn.Module):
        network = network.to(device).eval()
        if traits is None:
            traits = Traits(parameters=sum(parameter.numel() for parameter in network.parameters()))
    return Denoiser(
        call or (lambda x_t, t, cond: network(x_t, t, **cond)),
        schedule,
        PARAMETERIZATIONS[predicts] if isinstance(predicts, str) else predicts,
        event_shape,
        data_range=data_range,
        time=time,
        micro_batch=micro_batch,
        device=device,
        dtype=dtype,
        traits=traits,
    )
