"""One idiom for everything that has a name in a suite: solvers, grids, probes, metrics, loaders, feature networks."""

from __future__ import annotations

import ast
import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from .errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects. Registering a name twice raises; asking for an unknown one lists the choices."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: record the decorated object under `name`."""

        def record(entry: T) -> T:
            if name in self._entries:
                raise ConfigError(f"{self.kind} {name!r} is registered already, as {self._entries[name]!r}")
            self._entries[name] = entry
            return entry

        return record

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            hint = suggestion(name, self._entries)
            raise ConfigError(f"unknown {self.kind} {name!r}{hint}; expected one of: {', '.join(sorted(self))}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


def suggestion(name: str, choices: Iterable[str]) -> str:
    """ " (did you mean 'heun'?)", to stand behind an unknown name; empty where no choice is near."""
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def made(factories: Registry[Callable[..., T]], text: str) -> T:
    """What a factory makes of a name with arguments, such as `heun`, `ddim(eta=0.5)` or `sure(directions=4)`.

    A name stays the plain string it is in every table; arguments are literals, and none of it is ever run. Raises
    ConfigError for an unknown name or argument, listing the choices, and for a value that can't be.
    """
    name, positional, options = parts(factories.kind, text)
    return applied(factories.kind, text, factories[name], positional, options)


def arguments(make: Callable[..., Any]) -> dict[str, Any]:
    """What may stand in parentheses behind a name, with its defaults."""
    return {parameter.name: parameter.default for parameter in inspect.signature(make).parameters.values()}


def applied(kind: str, text: str, make: Callable[..., T], positional: Sequence[Any], options: Mapping[str, Any]) -> T:
    """`make` with arguments of the types of its defaults; raises ConfigError, naming `text`, for others."""
    known = arguments(make)
    choices = ", ".join(f"{key}={default!r}" for key, default in known.items()) or "none"
    if len(positional) > len(known):
        raise ConfigError(f"{kind} {text!r}: too many arguments; expected {choices}")
    given = dict(zip(known, positional, strict=False))
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"{kind} {text!r}: unknown argument {key!r}; expected {choices}")
        if key in given:
            raise ConfigError(f"{kind} {text!r}: expected {key!r} once, got it twice")
        given[key] = value
    for key, value in given.items():
        default = known[key]
        wanted = int if default is None else type(default)
        fits = isinstance(value, (int, float)) if wanted is float else isinstance(value, wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            raise ConfigError(f"{kind} {text!r}: {key}: expected a {wanted.__name__}, got {value!r}")
    return make(**given)


def parts(kind: str, text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """ "name(1, key=2)" -> ("name", [1], {"key": 2}); without parentheses the text is the name."""
    if "(" not in text:
        return text, [], {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{kind}: expected NAME(ARGUMENT=VALUE, ...), got {text!r}") from error
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ConfigError(f"{kind}: expected NAME(ARGUMENT=VALUE, ...), got {text!r}")
    options: dict[str, Any] = {}
    for word in call.keywords:
        if word.arg is None or word.arg in options:
            raise ConfigError(f"{kind} {text!r}: expected every argument once and by name, got {word.arg or '**'}")
        options[word.arg] = _literal(kind, text, word.value)
    return call.func.id, [_literal(kind, text, part) for part in call.args], options


def _literal(kind: str, text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{kind} {text!r}: expected a number or a word in quotes, got {ast.unparse(node)}") from error
