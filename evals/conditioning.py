"""Conditioning and classifier-free guidance.

Conditioning is one named argument: a dictionary of tensors with one row per sample. Class labels come from the data;
`encode_text` makes the entries of a text-conditioned network with its pipeline's own encoder; any other tensor is put
there by name. Guidance mixes the conditional and the unconditional answer of one network (arXiv:2207.12598), within an
interval of noise levels where one is given (arXiv:2404.07724).
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .denoiser import Cond, Denoiser
from .levels import Level, broadcast

Null = Mapping[str, Any]
"""What stands for "no condition": a number or one row per entry, such as {"class_labels": 10}."""


@dataclass(frozen=True)
class Guidance:
    """D = D_null + scale (D_cond - D_null): 1 is conditional, 0 unconditional."""

    scale: float
    null: Null
    interval: tuple[float, float] = (0.0, math.inf)
    """Sigmas, in units of data in [-1, 1], where guidance acts; elsewhere the answer is conditional."""
    doubled: bool = False
    """The network takes [x, x] with [cond, null] and guides by itself, as DiT's forward_with_cfg does; `scale` is then
    part of the call, and the first half of the answer counts."""

    def __post_init__(self) -> None:
        low, high = self.interval
        if not 0 <= low < high:
            raise ConfigError(f"guidance: expected an interval of sigmas 0 <= low < high, got {self.interval}")
        if not self.null:
            raise ConfigError('guidance: expected what stands for no condition, such as {"class_labels": 10}, got none')
        if not math.isfinite(self.scale):
            raise ConfigError(f"guidance: expected a finite scale, got {self.scale}")

    def nothing(self, cond: Cond) -> dict[str, Tensor]:
        """The conditioning with its null entries in place. Raises ConfigError for an entry that is not there."""
        unknown = set(self.null) - set(cond)
        if unknown:
            raise ConfigError(f"guidance: no conditioning {sorted(unknown)}; there is {sorted(cond) or 'none'}")
        return {
            name: _filled(tensor, self.null[name]) if name in self.null else tensor for name, tensor in cond.items()
        }


def guided(denoiser: Denoiser, guidance: Guidance) -> Denoiser:
    """The denoiser under guidance; it counts two evaluations per row where guidance acts."""
    if guidance.doubled:
        return _doubled(denoiser, guidance)
    made = copy.copy(denoiser)
    made.__class__ = GuidedDenoiser
    assert isinstance(made, GuidedDenoiser)
    made.guidance, made.evaluations = guidance, 0
    return made


class GuidedDenoiser(Denoiser):
    """Mixes raw outputs: every parameterization is affine in them, so this is mixing x0, or eps, or the score."""

    guidance: Guidance

    def raw(self, x_t: Tensor, level: Level, cond: Cond | None = None) -> Tensor:
        """The guided output `(B, *event_shape)`."""
        nothing, scale = self.guidance.nothing(cond or {}), self.guidance.scale
        low, high = self.guidance.interval
        inside = ((level.sigma >= low) & (level.sigma <= high)).expand(len(x_t))
        if scale == 1.0 or not bool(inside.any()):
            return super().raw(x_t, level, cond)
        if scale == 0.0 and bool(inside.all()):
            return super().raw(x_t, level, nothing)
        conditional = super().raw(x_t, level, cond)
        rows = torch.nonzero(inside).flatten()
        there = rows.to(x_t.device)
        without = super().raw(x_t[there], level[rows], {k: part[rows.to(part.device)] for k, part in nothing.items()})
        weight = broadcast(torch.full((len(rows),), scale), x_t)
        conditional[there] = without + weight * (conditional[there] - without)
        return conditional


def _doubled(denoiser: Denoiser, guidance: Guidance) -> Denoiser:
    made = copy.copy(denoiser)
    made.evaluations = 0
    network = denoiser.network

    def twice(x_t: Tensor, time: Tensor, cond: Cond) -> Any:
        nothing = guidance.nothing(cond)
        both = {name: torch.cat((tensor, nothing[name])) for name, tensor in cond.items()}
        output = network(torch.cat((x_t, x_t)), torch.cat((time, time)) if time.ndim else time, both)
        return output[: len(x_t)]

    made.network = twice
    return made


def encode_text(pipeline: Any, prompts: Sequence[str]) -> dict[str, Tensor]:
    """The entries a text-conditioned diffusers network takes, made by its pipeline's own encoder, one row per prompt.

    "encoder_hidden_states", and where the pipeline pools as well "pooled_projections". Raises ConfigError for a
    pipeline without an encoder.
    """
    encode = getattr(pipeline, "encode_prompt", None)
    if encode is None:
        raise ConfigError(f"text: expected a pipeline with encode_prompt, got {type(pipeline).__name__}")
    wanted = {
        "prompt": list(prompts),
        "prompt_2": list(prompts),
        "device": pipeline.device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    known = inspect.signature(encode).parameters
    optional = {name for name, word in known.items() if word.default is not word.empty}
    with torch.no_grad():
        made = encode(**{k: v for k, v in wanted.items() if k in known and not (k == "prompt_2" and k in optional)})
    parts = [part for part in (made if isinstance(made, tuple) else (made,)) if isinstance(part, Tensor)]
    states = [part for part in parts if part.ndim == 3 and len(part) == len(prompts)]
    pooled = [part for part in parts if part.ndim == 2 and len(part) == len(prompts) and part.is_floating_point()]
    if not states:
        raise ConfigError(f"text: {type(pipeline).__name__}.encode_prompt returned no (B, length, width) tensor")
    entries = {"encoder_hidden_states": states[0].detach()}
    return {**entries, "pooled_projections": pooled[0].detach()} if pooled else entries


def _filled(tensor: Tensor, value: Any) -> Tensor:
    """`value` for every row: one number, or one row."""
    return torch.as_tensor(value).to(tensor).expand_as(tensor).clone()
