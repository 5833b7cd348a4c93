"""Source folders whose modules are their own: `models`, `diffusion` or `torch_utils` of one repository never meet
another's, and none of them stays in the process.

Inside the folder its top-level names hide whatever else has them; outside they don't exist. A network from a folder is
entered again for every call, because foreign code imports inside functions too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import LoadError

_SHARED = frozenset(("torch", "numpy", "scipy", "sigmascope")) | sys.stdlib_module_names
"""Names that a folder may not take over: two of them could not live in one process."""


class SourceFolder:
    """A folder of Python source, put first on the path while it is entered."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise LoadError(f"python:{root}: expected a folder of source")
        self.root = root.resolve()
        self.names = self._found()
        """Modules and packages at its top, but for those it may not take over."""
        self._modules: dict[str, ModuleType] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        hidden = self._taken_out(self.names)
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(self.root))
            self._modules = self._taken_out(self.names)
            sys.modules.update(hidden)

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, run inside the folder."""

        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.entered():
                return function(*args, **kwargs)

        return inside

    def _found(self) -> set[str]:
        files = {path.stem for path in self.root.glob("*.py")}
        folders = {path.parent.name for path in self.root.glob("*/*.py")}
        return (files | folders) - _SHARED

    @staticmethod
    def _taken_out(names: set[str]) -> dict[str, ModuleType]:
        mine = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in mine}
