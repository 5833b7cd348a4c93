"""Conditioning and classifier-free guidance.

Conditioning is one named argument: a dictionary of tensors with one row per sample. Class labels come from the data;
the captions of a text model are encoded once and are then its classes, by number; any other tensor is put there by
name. Guidance mixes the conditional and the unconditional answer of one network (arXiv:2207.12598), within an
interval of noise levels where one is given (arXiv:2404.07724).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .companions import encode_text
from .denoiser import Cond, Denoiser
from .levels import Level, broadcast

__all__ = ["Guidance", "GuidedDenoiser", "captioned", "encode_text", "guided", "numbered", "steered"]

Null = Mapping[str, Any]
"""What stands for "no condition": a number or one row per entry, such as {"class_labels": 10}."""


@dataclass(frozen=True)
class Guidance:
    """D = D_null + scale (D_cond - D_null): 1 is conditional, 0 unconditional."""

    scale: float
    null: Null | str
    """A text model may be given a prompt, "" or a negative one."""
    interval: tuple[float, float] = (0.0, math.inf)
    """Sigmas, in units of data in [-1, 1], where guidance acts; elsewhere the answer is conditional."""
    doubled: bool = False
    """The network takes [x, x] with [cond, null] and guides by itself, as DiT's forward_with_cfg does; `scale` is then
    part of the call, and the first half of the answer counts."""

    def __post_init__(self) -> None:
        low, high = self.interval
        if not 0 <= low < high:
            raise ConfigError(f"guidance: expected an interval of sigmas 0 <= low < high, got {self.interval}")
        if self.null == {}:
            raise ConfigError('guidance: expected what stands for no condition, such as {"class_labels": 10}, got none')
        if not math.isfinite(self.scale):
            raise ConfigError(f"guidance: expected a finite scale, got {self.scale}")

    def nothing(self, cond: Cond) -> dict[str, Tensor]:
        """The conditioning with its null entries in place. Raises ConfigError for an entry that is not there."""
        if isinstance(self.null, str):
            raise ConfigError(f"guidance: null is the prompt {self.null!r}, which `guided` has encoded; got it as text")
        unknown = set(self.null) - set(cond)
        if unknown:
            raise ConfigError(f"guidance: no conditioning {sorted(unknown)}; there is {sorted(cond) or 'none'}")
        return {
            name: _filled(tensor, self.null[name]) if name in self.null else tensor for name, tensor in cond.items()
        }


def guided(denoiser: Denoiser, guidance: Guidance) -> Denoiser:
    """The denoiser under guidance; it counts two evaluations per row where guidance acts.

    Raises ConfigError where null is a prompt and the denoiser has no text encoder.
    """
    if isinstance(guidance.null, str):
        if denoiser.text is None:
            raise ConfigError(
                f"guidance: null is the prompt {guidance.null!r}, but {denoiser.traits.spec} takes no text"
            )
        guidance = replace(guidance, null=denoiser.text.rows([guidance.null]))
    if guidance.doubled:
        return _doubled(denoiser, guidance)
    made = copy.copy(denoiser)
    made.__class__ = GuidedDenoiser
    assert isinstance(made, GuidedDenoiser)
    made.guidance, made.evaluations = guidance, 0
    return made


def steered(denoiser: Denoiser, scale: float, interval: tuple[float, float] = (0.0, math.inf)) -> Denoiser:
    """A guided denoiser at another scale and within another interval of sigmas, with the same null.

    Raises ConfigError for one that has no guidance, or whose network guides by itself.
    """
    if not isinstance(denoiser, GuidedDenoiser):
        raise ConfigError(
            f"guidance: expected a model that is told what stands for no condition, such as "
            f"guidance = {{scale = 1.0, null = {{class_labels = 10}}}}, and does not guide by itself, got "
            f"{denoiser.traits.spec}"
        )
    made = copy.copy(denoiser)
    made.guidance, made.evaluations = replace(denoiser.guidance, scale=scale, interval=interval), 0
    return made


class GuidedDenoiser(Denoiser):
    """Mixes raw outputs: every parameterization is affine in them, so this is mixing x0, or eps, or the score."""

    guidance: Guidance

    def raw(self, x_t: Tensor, level: Level, cond: Cond | None = None, told: Level | None = None) -> Tensor:
        """The guided output `(B, *event_shape)`; where guidance acts is decided by `level`, not by what is told."""
        nothing, scale = self.guidance.nothing(cond or {}), self.guidance.scale
        low, high = self.guidance.interval
        inside = ((level.sigma >= low) & (level.sigma <= high)).expand(len(x_t))
        if scale == 1.0 or not bool(inside.any()):
            return super().raw(x_t, level, cond, told)
        if scale == 0.0 and bool(inside.all()):
            return super().raw(x_t, level, nothing, told)
        conditional = super().raw(x_t, level, cond, told)
        rows = torch.nonzero(inside).flatten()
        there = rows.to(x_t.device)
        part = {name: tensor[rows.to(tensor.device)] for name, tensor in nothing.items()}
        without = super().raw(x_t[there], level[rows], part, None if told is None else told[rows])
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


def numbered(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """The distinct captions in order of appearance, and the number of each caption among them, `(N,)` int64."""
    distinct = list(dict.fromkeys(captions))
    number = {caption: index for index, caption in enumerate(distinct)}
    return distinct, torch.tensor([number[caption] for caption in captions])


def captioned(denoiser: Denoiser, captions: Sequence[str]) -> Denoiser:
    """A text model whose classes are these captions: class_labels are their numbers (see `numbered`).

    Each distinct caption is encoded once, here, and given in the dtype of the network's input. Raises ConfigError for a
    model that takes no text, or labels as well.
    """
    spec = denoiser.traits.spec
    if denoiser.text is None or denoiser.traits.classes is not None:
        raise ConfigError(f"{spec}: expected a model of text and nothing else, to be given captions")
    if not captions:
        raise ConfigError(f"{spec}: expected captions, which it is conditioned on; the data has none")
    made, (distinct, _) = copy.copy(denoiser), numbered(captions)
    rows = denoiser.text.rows(distinct)
    if isinstance(made, GuidedDenoiser):  # no condition is one more row
        null = made.guidance.nothing({name: part[:1] for name, part in rows.items()})
        rows = {name: torch.cat((part, null[name])) for name, part in rows.items()}
        made.guidance = replace(made.guidance, null={"class_labels": len(distinct)})
    kinds = {name: denoiser.dtype if part.is_floating_point() else part.dtype for name, part in rows.items()}
    rows = {name: part.to(denoiser.device, kinds[name]) for name, part in rows.items()}
    network = denoiser.network

    def called(x_t: Tensor, time: Tensor, cond: Cond) -> Any:
        if "class_labels" not in cond:
            raise ConfigError(f"{spec}: expected class_labels, the numbers of its captions, got {sorted(cond)}")
        chosen = cond["class_labels"].long()
        return network(x_t, time, {name: part[chosen] for name, part in rows.items()})

    made.network, made.evaluations = called, 0
    made.traits = replace(denoiser.traits, classes=len(distinct))
    return made


def _filled(tensor: Tensor, value: Any) -> Tensor:
    """`value` for every row: one number, or one row."""
    return torch.as_tensor(value).to(tensor).expand_as(tensor).clone()
