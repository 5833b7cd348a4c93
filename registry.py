"""One idiom for everything that has a name in a suite: solvers, grids, probes, metrics, loaders, feature networks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

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
