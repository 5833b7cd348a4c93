"""`sigmascope history METRIC`: a metric over the runs of a folder, oldest first, and where it changed for sure."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .cli_models import RunsFolder
from .errors import ConfigError
from .terminal import out

if TYPE_CHECKING:
    from .reports.history import Series


def history(
    metric: Annotated[str, typer.Argument(help='"denoising_error", or a metric by its name.', show_default=False)],
    model: Annotated[str, typer.Option(help="Only this model.")] = "",
    sigma: Annotated[str, typer.Option(help="Of the denoising error: noise levels LOW-HIGH, such as 0.1-1.")] = "",
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="How often a series that never changed may show a change.")
    ] = 0.05,
    last: Annotated[
        int | None, typer.Option(min=1, help="Only so many of the newest runs.", show_default=False)
    ] = None,
    runs_folder: RunsFolder = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Follow a metric over runs and commits, with change points. Runs that can't be compared are different series."""
    from .evals.store import Store
    from .reports.history import follow
    from .reports.machine import finite

    complete = [run for run in Store(runs_folder).runs()[:last] if run.record.status == "complete"]
    found = follow(complete, metric, model, _band(sigma), alpha)
    if as_json:
        print(json.dumps(finite([asdict(one) for one in found]), indent=1, allow_nan=False))  # noqa: T201
        return
    for one in found:
        _print(one)


def _band(sigma: str) -> tuple[float, float] | None:
    if not sigma:
        return None
    number = r"\d+\.?\d*(?:e-?\d+)?"
    match = re.fullmatch(f"({number})-({number})", sigma)
    if not match or not float(match[1]) <= float(match[2]):
        raise ConfigError(f"--sigma: expected LOW-HIGH such as 0.1-1, got {sigma!r}")
    return float(match[1]), float(match[2])


def _print(series: Series) -> None:
    from .reports.history import LEAST
    from .reports.markdown import sparkline
    from .reports.numbers import interval, number
    from .reports.text import plain

    values = [point.value for point in series.points]
    line = sparkline([value - min(values) for value in values])
    out.print(f"{plain(series.title)}  {line}", style="bold", markup=False, highlight=False, soft_wrap=True)
    changes = {change.index: change for change in series.changes}
    table = Table("created", "run", "commit", "value", "95% interval", "change")
    for column in table.columns[:3]:  # what names a run is never cut
        column.overflow = "fold"
    for index, point in enumerate(series.points):
        change = changes.get(index)
        said = f"{number(change.before)} → {number(change.after)} (p = {number(change.p, 2)})" if change else ""
        cells = (
            point.created[:10],
            point.run,
            point.commit[:7] + point.commit[40:],
            number(point.value),
            interval(point.low, point.high),
            said,
        )
        table.add_row(*(escape(plain(cell)) for cell in cells))
    out.print(table)
    if len(values) < 2 * LEAST:
        out.print("too few runs to look for a change", style="dim", highlight=False)
