"""Stitched samples: one player denoises in some noise bands, the other in the rest, from the same noise on one grid.

Players + Bands + coalitions -> stitch -> features of the final samples of each coalition. Coalitions that agree in the
first bands share their states: the walk is a binary tree from most noise to least, visited depth first, so that one
state per band is in memory. A full tree costs (2^(K+1) - 2) / K runs of the sampler where bands cost alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from ...errors import ConfigError, ModelError
from ..denoiser import Cond, Denoiser
from ..noise import Noise
from ..samplers import BrownianPath, Solver, State, StepNoise
from .bands import Bands

Coalition = tuple[bool, ...]
"""Per band, from most noise to least, whether the candidate has it."""

Conditioning = Callable[[Tensor], Cond]
"""Sample ids `(B,)` -> what the denoiser is conditioned on, row by row."""


def unconditional(sample_ids: Tensor) -> Cond:
    return {}


def class_balanced(denoiser: Denoiser) -> Conditioning:
    """The classes of a class-conditional model in turn, as runs sample it: sample i has class i modulo their number.

    Raises ConfigError for a model of text that was given no captions.
    """
    if denoiser.text is not None and denoiser.traits.classes is None:
        raise ConfigError(f"{denoiser.traits.spec}: expected a model of no text, or one that was given its captions")

    classes = denoiser.traits.classes
    return unconditional if classes is None else lambda sample_ids: {"class_labels": sample_ids % classes}


@dataclass(frozen=True)
class Player:
    """What takes a state through a band: a denoiser, guided or not and in whatever precision, with a solver."""

    denoiser: Denoiser
    solver: Solver
    cond: Conditioning = unconditional


@dataclass(frozen=True)
class Stitched:
    features: dict[Coalition, Tensor]
    """`(N, d)` on the CPU, rows in the order of the sample ids."""
    evaluations: float
    """Network evaluations per sample, all coalitions together."""
    full_run: float
    """Network evaluations per sample of one run of the sampler: the mean of the base's and the candidate's."""

    @property
    def full_runs(self) -> float:
        """What all coalitions cost, in runs of the sampler."""
        return self.evaluations / self.full_run


@dataclass
class _Walk:
    """The walk of one batch of samples."""

    players: tuple[Player, Player]
    bands: Bands
    wanted: frozenset[Coalition]
    noise: Noise
    path: BrownianPath
    sample_ids: Tensor
    dtype: torch.dtype
    leaf: Callable[[Tensor], Tensor]
    progress: Callable[[int], None]
    features: dict[Coalition, Tensor] = field(default_factory=dict)
    evaluations: int = 0
    cost: dict[tuple[bool, int], int] = field(default_factory=dict)
    """Evaluations of the base (False) or the candidate (True) in a band."""

    def descend(self, x: Tensor, prefix: Coalition = ()) -> None:
        """From the scaled state at the beginning of band len(prefix), through every coalition that begins so."""
        band = len(prefix)
        if band == self.bands.count:
            self.features[prefix] = self.leaf(x).cpu()
            return
        for which in (False, True):
            longer = (*prefix, which)
            if any(coalition[: band + 1] == longer for coalition in self.wanted):
                self.descend(self.through(band, which, x), longer)

    def through(self, band: int, which: bool, x: Tensor) -> Tensor:
        """Through one band. A solver's memory begins anew in each: what it remembers may be the other player's."""
        player = self.players[which]
        denoiser, cond, levels = player.denoiser, player.cond(self.sample_ids), self.bands.sigmas[band]
        state = State(x, player.solver.init(denoiser, self.bands.levels, self.bands.steps, x).memory)
        before = denoiser.evaluations
        for step, (sigma, sigma_next) in enumerate(pairwise(levels.tolist()), self.bands.first(band)):
            noise = StepNoise(self.noise, self.sample_ids, step, denoiser.event_shape, self.dtype, self.path)
            state = player.solver.step(denoiser, state, sigma, sigma_next, cond, noise)
        if not bool(torch.isfinite(state.x).all()):
            raise ModelError(f"{denoiser.traits.spec}: sigma {sigma:.3g} to {sigma_next:.3g} ended in NaN or infinity")
        spent = denoiser.evaluations - before
        self.cost[which, band] = spent
        self.evaluations += spent
        self.progress(player.solver.evaluations(levels) * len(x))
        return state.x


def stitch(
    base: Player,
    candidate: Player,
    bands: Bands,
    coalitions: Sequence[Coalition],
    sample_ids: Tensor,
    noise: Noise,
    *,
    leaf: Callable[[Tensor], Tensor] = lambda x: x.flatten(1),
    batch_size: int = 256,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] = lambda rows: None,
) -> Stitched:
    """Features of the final samples of every coalition, from the same noise per sample id.

    Args:
        coalitions: of bands.count entries each; all-base and all-candidate among them.
        sample_ids: `(N,)` int64; each row's noise depends on its id and the step alone, so all coalitions share it.
        leaf: clean samples `(B, *event_shape)` -> features `(B, d)`, row by row.
        batch_size: samples carried at once; it bounds memory.
        dtype: of the state.
        progress: called with the number of network evaluations done, of all that are `planned`.

    Raises ConfigError for players that can't be stitched, ModelError when a state stops being finite.
    """
    check(base, candidate, bands)
    parts, evaluations, whole = [], 0, 0
    for ids in sample_ids.to(base.denoiser.device).split(batch_size):
        path = BrownianPath(noise, ids, base.denoiser.event_shape)
        walk = _Walk((base, candidate), bands, frozenset(coalitions), noise, path, ids, dtype, leaf, progress)
        walk.descend(bands.edges[0] * noise.normal(ids, "initial", 0, base.denoiser.event_shape, dtype))
        parts.append(walk.features)
        evaluations += walk.evaluations
        whole += sum(walk.cost.values())
    features = {coalition: torch.cat([part[coalition] for part in parts]) for coalition in coalitions}
    return Stitched(features, evaluations / len(sample_ids), whole / 2 / len(sample_ids))


def planned(base: Player, candidate: Player, bands: Bands, coalitions: Sequence[Coalition]) -> int:
    """Network evaluations per sample that the solvers say all coalitions take, guidance not counted."""
    prefixes = {coalition[:length] for coalition in coalitions for length in range(1, bands.count + 1)}
    players = (base, candidate)
    return sum(players[prefix[-1]].solver.evaluations(bands.sigmas[len(prefix) - 1]) for prefix in prefixes)


def check(base: Player, candidate: Player, bands: Bands) -> None:
    """What can be known before the first evaluation. Raises ConfigError."""
    shapes = base.denoiser.event_shape, candidate.denoiser.event_shape
    if shapes[0] != shapes[1]:
        raise ConfigError(f"expected two models of one data space, got samples of shape {shapes[0]} and {shapes[1]}")
    classes = base.denoiser.traits.classes, candidate.denoiser.traits.classes
    if None not in classes and classes[0] != classes[1]:
        raise ConfigError(f"expected two models of the same classes, got {classes[0]} and {classes[1]}")
    if base.denoiser.device.type != candidate.denoiser.device.type:
        raise ConfigError(
            f"expected both models on one device, got {base.denoiser.device} and {candidate.denoiser.device}"
        )
    decoders = [getattr(one.denoiser.autoencoder, "fingerprint", "none") for one in (base, candidate)]
    if decoders[0] != decoders[1]:
        raise ConfigError(f"expected two models of one data space, got autoencoders {decoders[0]} and {decoders[1]}")
    for player in (base, candidate):
        if player.solver.own_clock:
            raise ConfigError(
                f"{type(player.solver).__name__} brings its own noise levels and state, and can't be stopped at a "
                "band's edge; expected a solver of the scaled state, such as heun"
            )
        for levels in bands.sigmas:
            player.denoiser.level(levels[levels > 0])
