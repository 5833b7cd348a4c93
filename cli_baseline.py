"""`sigmascope baseline`: what counts as good enough, as a small file in git that changes by `accept --reason` only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_models import RunsFolder
from .terminal import out

baseline = typer.Typer(help="Baselines: a run's numbers as a small file to commit.", no_args_is_help=True)


@baseline.callback()
def _group() -> None:
    """Keeps `accept` a subcommand while it is the only one."""


@baseline.command()
def accept(
    run: Annotated[str, typer.Argument(help="RUN or RUN:MODEL.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why these numbers are the ones to hold.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; baselines/NAME.json by the run's name.")
    ] = None,
    runs_folder: RunsFolder = Path("runs"),
) -> None:
    """Write a complete run's numbers to a baseline file; commit it, and `gate --baseline FILE` holds to it."""
    from .errors import ConfigError
    from .evals.store import Store
    from .reports.baseline import accept as accepted
    from .reports.baseline import as_text, read_baseline
    from .reports.files import write_text
    from .reports.text import plain

    found = Store(runs_folder).find(run)
    path = output or Path("baselines") / f"{found.record.name}.json"
    if path.suffix != ".json" or path.is_dir():
        raise ConfigError(f"--output: expected a file ending in .json, got {str(path)!r}")
    text = as_text(accepted(found, reason))
    before = f", in place of {read_baseline(path).run.id}" if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    models = ", ".join(model.name for model in found.record.models)
    out.print(
        plain(f"{path}: {models} of {found.id}{before}, {len(text.encode()) / 1000:.1f} kB; commit it"),
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
