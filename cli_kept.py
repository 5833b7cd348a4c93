"""What the command line says of decisions that it keeps beside the runs; that one can't be kept changes no verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .errors import StoreError
from .terminal import err

KeepOption = Annotated[
    bool, typer.Option("--keep/--no-keep", help="Keep what was found in the folder of runs, where there is one.")
]


def told_kept(keep: Callable[[], Path | None]) -> None:
    """Keep a decision and say where, or why it couldn't be."""
    try:
        path = keep()
        said = f"kept: {path}" if path else ""
    except StoreError as error:
        said = f"not kept: {error}"
    if said:
        err.print(said, markup=False, highlight=False, soft_wrap=True, style="dim")
