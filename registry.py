"""One idiom for everything that has a name in a suite: solvers, grids, probes, metrics, loaders, feature networks."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Iterator
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
            near = difflib.get_close_matches(name, self._entries, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"unknown {self.kind} {name!r}{hint}; expected one of: {', '.join(sorted(self))}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


def call(text: str) -> tuple[str, dict[str, Any]]:
    """ "name" or "name(argument=1.5, other='x')" -> the name and its arguments: literals, by keyword, never evaluated.

    Raises ConfigError for anything else.
    """
    name, opening, _ = text.partition("(")
    if not opening:
        return text, {}
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Call) and not node.args and all(keyword.arg for keyword in node.keywords):
            return name.strip(), {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ConfigError(f"expected NAME or NAME(ARGUMENT=VALUE, ...), got {text!r}")


def made(factories: Registry[Callable[..., T]], text: str) -> T:
    """What the factory of that name makes of the arguments in `text`; raises ConfigError listing those it takes."""
    name, arguments = call(text)
    factory = factories[name]
    taken = inspect.signature(factory).parameters
    unknown = [argument for argument in arguments if argument not in taken]
    if unknown:
        raise ConfigError(
            f"{factories.kind} {name!r}: expected arguments among {', '.join(taken) or '(none)'}, got {unknown[0]!r}"
        )
    try:
        return factory(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{factories.kind} {text!r}: {error}") from error
