"""`sigmascope baseline`: what counts as good enough, as a small file in git that changes by `accept --reason` only."""

from __future__ import annotations

from functools import partial
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
    errors: Annotated[
        str,
        typer.Option(
            help="Also write the per-image errors, which `gate` then pairs with: a folder or a .parquet file, as a "
            "path or an fsspec URL such as s3://BUCKET/baselines.",
            show_default=False,
        ),
    ] = "",
    runs_folder: RunsFolder = Path("runs"),
) -> None:
    """Write a complete run's numbers to a baseline file; commit it, and `gate --baseline FILE` holds to it."""
    from .errors import ConfigError
    from .evals.store import Store
    from .reports.baseline import accept as accepted
    from .reports.baseline import as_text, read_baseline
    from .reports.baseline_errors import write_errors
    from .reports.files import write_text
    from .reports.text import plain

    found = Store(runs_folder).find(run)
    path = output or Path("baselines") / f"{found.record.name}.json"
    if path.suffix != ".json" or path.is_dir():
        raise ConfigError(f"--output: expected a file ending in .json, got {str(path)!r}")
    before = f", in place of {read_baseline(path).run.id}" if path.exists() else ""
    kept = accepted(found, reason, write=partial(write_errors, errors, path, found.id) if errors else None)
    text = as_text(kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    if kept.errors:
        size = f"{kept.errors.bytes / 1000:,.0f} kB"
        out.print(
            plain(f"{kept.errors.place}: per-image errors, {size}"), markup=False, highlight=False, soft_wrap=True
        )
    models = ", ".join(model.name for model in found.record.models)
    out.print(
        plain(f"{path}: {models} of {found.id}{before}, {len(text.encode()) / 1000:.1f} kB; commit it"),
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
