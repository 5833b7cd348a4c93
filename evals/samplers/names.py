"""From the name a suite uses to a solver: `heun`, `ddim(eta=0.5)`, `diffusers:DDIMScheduler(clip_sample=False)`.

A name stays the plain string it is in every table; arguments are literals, and none of it is ever run.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from typing import Any

from ...errors import ConfigError
from .solver import SOLVERS, Solver


def solver(name: str) -> Solver:
    """A fresh solver by name: a registered one or `diffusers:SCHEDULER`, with or without arguments.

    Raises ConfigError for an unknown name or argument, listing the choices, and for a value that can't be.
    """
    from .diffusers_scheduler import DiffusersScheduler

    family, colon, scheduler = name.partition(":")
    if family == "diffusers" and colon and scheduler:
        kind, positional, options = _parts(scheduler)
        if positional:
            raise ConfigError(f"sampler {name!r}: expected options by name, got {positional[0]!r}")
        return DiffusersScheduler(kind, options)
    kind, positional, options = _parts(name)
    return _made(name, SOLVERS[kind], positional, options)


def arguments(make: Callable[..., Solver]) -> dict[str, Any]:
    """What may stand in parentheses behind a sampler's name, with its defaults."""
    return {parameter.name: parameter.default for parameter in inspect.signature(make).parameters.values()}


def _made(name: str, make: Callable[..., Solver], positional: list[Any], options: dict[str, Any]) -> Solver:
    known = arguments(make)
    choices = ", ".join(f"{key}={default!r}" for key, default in known.items()) or "none"
    if len(positional) > len(known):
        raise ConfigError(f"sampler {name!r}: too many arguments; expected {choices}")
    given = dict(zip(known, positional, strict=False))
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"sampler {name!r}: unknown argument {key!r}; expected {choices}")
        if key in given:
            raise ConfigError(f"sampler {name!r}: expected {key!r} once, got it twice")
        given[key] = value
    for key, value in given.items():
        kind = type(known[key])
        fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"sampler {name!r}: {key}: expected a {kind.__name__}, got {value!r}")
    return make(**given)


def _parts(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """ "name(1, key=2)" -> ("name", [1], {"key": 2}); without parentheses the text is the name."""
    if "(" not in text:
        return text, [], {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"sampler: expected NAME(ARGUMENT=VALUE, ...), got {text!r}") from error
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ConfigError(f"sampler: expected NAME(ARGUMENT=VALUE, ...), got {text!r}")
    options: dict[str, Any] = {}
    for word in call.keywords:
        if word.arg is None or word.arg in options:
            raise ConfigError(f"sampler {text!r}: expected every argument once and by name, got {word.arg or '**'}")
        options[word.arg] = _literal(word.value, text)
    return call.func.id, [_literal(part, text) for part in call.args], options


def _literal(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"sampler {text!r}: expected a number or a word in quotes, got {ast.unparse(node)}"
        ) from error
