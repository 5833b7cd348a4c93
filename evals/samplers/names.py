"""From the name a suite uses to a solver: `heun`, `ddim(eta=0.5)`, `diffusers:DDIMScheduler(clip_sample=False)`."""

from __future__ import annotations

from ...errors import ConfigError
from ...registry import arguments, made, parts
from .solver import SOLVERS, Solver

__all__ = ["arguments", "solver"]


def solver(name: str) -> Solver:
    """A fresh solver by name: a registered one or `diffusers:SCHEDULER`, with or without arguments.

    Raises ConfigError for an unknown name or argument, listing the choices, and for a value that can't be.
    """
    from .diffusers_scheduler import DiffusersScheduler

    family, colon, scheduler = name.partition(":")
    if family == "diffusers" and colon and scheduler:
        kind, positional, options = parts(SOLVERS.kind, scheduler)
        if positional:
            raise ConfigError(f"sampler {name!r}: expected options by name, got {positional[0]!r}")
        return DiffusersScheduler(kind, options)
    return made(SOLVERS, name)
