"""`sigmascope plan`: how many images and network evaluations a gate needs, from a stored baseline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from .cli_models import RunsFolder
from .errors import ConfigError
from .terminal import out

if TYPE_CHECKING:
    from .evals.store import Run
    from .reports.sizing import Levels, Wanted


def plan(
    baseline: Annotated[str, typer.Argument(help="RUN or RUN:MODEL.", show_default=False)],
    candidate: Annotated[
        str, typer.Argument(help="RUN:MODEL of the same run: a model as like the baseline as candidates will be.")
    ] = "",
    margin: Annotated[float, typer.Option(help="How much worse is accepted, relative: 0.02 is 2%.")] = 0.02,
    change: Annotated[
        float | None, typer.Option(help="The regression that shall fail; the margin by default.", show_default=False)
    ] = None,
    alpha: Annotated[float, typer.Option(min=1e-6, max=0.499, help="Error rate of either side.")] = 0.05,
    power: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Probability of the right verdict.")] = 0.9,
    correlation: Annotated[
        float, typer.Option(min=0.0, max=0.9999, help="Of a candidate's errors with the baseline's, if none is named.")
    ] = 0.0,
    runs_folder: RunsFolder = Path("runs"),
) -> None:
    """Say how many images and evaluations resolve a change in each metric, and how long they take."""
    from .evals.store import Store
    from .reports.sizing import Wanted, size_levels, size_metrics

    for name, value in (("margin", margin), ("change", margin if change is None else change)):
        if not 0 < value < math.inf:
            raise ConfigError(f"--{name}: expected more than 0, got {value}")
    wanted = Wanted(margin, margin if change is None else change, power, 1 - alpha, correlation=correlation)
    store = Store(runs_folder)
    runs = store.pair(baseline, candidate) if candidate else [store.find(baseline)]
    if len(runs) > 1:
        raise ConfigError(f"plan: expected two different models of one run, got {baseline} and {candidate}")
    run = runs[0]
    names = [model.name for model in run.record.models]
    ours, theirs = run.record.baseline, names[1] if candidate else None
    errors, metrics = run.table("evaluations"), run.table("metrics")
    if errors.empty and metrics.empty:
        raise ConfigError(f"run {run.id}: expected noise levels or metrics of samples, got neither")
    if len(errors):
        _print_levels(run, ours, theirs, size_levels(errors, ours, theirs, wanted), wanted)
    if len(metrics):
        _print_metrics(run, ours, size_metrics(metrics, ours, theirs, wanted), wanted)


def _print_levels(run: Run, model: str, candidate: str | None, sizes: Levels, wanted: Wanted) -> None:
    from .reports.numbers import number, percent

    table = Table("sigma", "spread", "images to pass", "images to fail", title="denoising error, level by level")
    for _, row in sizes.table.iterrows():
        table.add_row(number(row["sigma"], 2), number(row["spread"]), _count(row["to_pass"]), _count(row["to_fail"]))
    out.print(table)
    draws = int(run.table("levels")["draws"].max())
    levels = len(sizes.table)
    evaluations = sizes.images * levels * draws
    margin, change = (percent(1 + value, signed=False) for value in (wanted.margin, wanted.change))
    pairing = f"paired with {candidate}" if candidate else "an upper bound, for no second model was named"
    lines = [
        f"spread of {model}'s difference, {pairing}; critical value over {levels} levels {sizes.critical:.2f}",
        f"an unchanged model passes at all levels, within {margin}, with {wanted.power:.0%}: {_count(sizes.to_pass)} "
        "images",
        f"a model worse by {change} at any one level fails with {wanted.power:.0%}: {_count(sizes.to_fail)} images",
        f"both: {_count(sizes.images)} images x {levels} levels x {_draws(draws)} = {_count(evaluations)} evaluations "
        f"a model{_minutes(evaluations, _rate(run, model, 'probe'))}",
    ]
    _say(lines)


def _print_metrics(run: Run, model: str, sizes: Any, wanted: Wanted) -> None:
    from .reports.numbers import number
    from .reports.tables import cell_title

    kept = run.table("samples").drop_duplicates(["sampler", "steps", "grid"])
    costs = kept.set_index(["sampler", "steps", "grid"])["evaluations"].to_dict()
    rate = _rate(run, model, "sample")
    names = ("value", "margin", "to pass", "to fail", "evaluations", "minutes")
    for metric, rows in sizes.groupby("metric", sort=False):
        columns = [Column(name, no_wrap=True) for name in names]  # a number is never cut; a sampler's name folds
        table = Table(Column("sampler", overflow="fold"), *columns, title=f"{escape(metric)}, unpaired: samples")
        for _, row in rows.iterrows():
            samples = max(row["to_pass"], row["to_fail"])
            spent = samples * costs.get((row["sampler"], row["steps"], row["grid"]), math.nan)
            minutes = spent * rate / 60
            table.add_row(
                escape(cell_title(row)), number(row["value"]), number(row["margin"]), _count(row["to_pass"]),
                _count(row["to_fail"]), _count(spent), f"{minutes:,.1f}" if math.isfinite(minutes) else "",
            )  # fmt: skip
        out.print(table)


def _say(lines: list[str]) -> None:
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _count(value: float) -> str:
    return f"{math.ceil(value):,}" if math.isfinite(value) else "∞" if value > 0 else "not scored"


def _draws(count: int) -> str:
    return f"{count} draw{'s' if count > 1 else ''}"


def _rate(run: Run, model: str, kind: str) -> float:
    """Seconds an evaluation took in the run's cells of this kind; NaN where none did."""
    cells = [cell for cell in run.record.cells if cell.model == model and cell.kind == kind and not cell.error]
    evaluations = sum(cell.evaluations for cell in cells)
    return sum(cell.seconds for cell in cells) / evaluations if evaluations else math.nan


def _minutes(evaluations: float, rate: float) -> str:
    minutes = evaluations * rate / 60
    return f", about {minutes:,.1f} minutes" if math.isfinite(minutes) else ""
