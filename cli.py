"""The command line. A command parses, calls one function, prints; results go to stdout, progress and errors to stderr.

Exit codes: 0 pass, 1 regression, 2 usage or configuration, 3 runtime or infrastructure, 4 inconclusive, 5 incomparable.
"""

from __future__ import annotations

import importlib.resources
import json
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import __version__
from .errors import ConfigError, SigmascopeError

if TYPE_CHECKING:
    from .evals.runner import Plan, Watcher
    from .evals.store import Run

app = typer.Typer(
    help="Evaluation and diagnostics for denoisers: where does a model degrade, and how sure is that?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out, err = Console(), Console(stderr=True)


class Display(StrEnum):
    full = "full"
    plain = "plain"
    none = "none"


class Listing(StrEnum):
    runs = "runs"
    models = "models"
    samplers = "samplers"
    grids = "grids"
    metrics = "metrics"
    probes = "probes"
    features = "features"


_UsageError: Any = typer.BadParameter.__base__  # typer carries its own click, and exports only the leaves


RunsFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder of runs.", envvar="SIGMASCOPE_RUNS")]
DisplayOption = Annotated[Display | None, typer.Option(help="Progress: a bar, lines, or nothing.", show_default=False)]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1 ...")]


@app.command()
def run(
    suite: Annotated[Path, typer.Argument(help="A suite in TOML.", show_default=False)],
    out_folder: RunsFolder = Path("runs"),
    model: Annotated[list[str] | None, typer.Option(help="Run only these models of the suite.")] = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the suite's.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most so many images and samples.")] = None,
    device: Device = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows carried at once; changes no result.")] = 1024,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
    display: DisplayOption = None,
) -> None:
    """Run a suite: models x probes and samplers. Run it again and it resumes."""
    from .evals.runner import prepare

    with err.status("Loading models and data"):
        plan = prepare(_suite(suite, model, seed), suite.parent, device=device, limit=limit, batch_size=batch_size)
    if dry_run:
        _print_plan(plan)
        return
    done = _execute(plan, out_folder, display)
    out.print(f"{escape(done.id)}: {len(done.record.cells)} cells in {escape(str(done.folder))}", soft_wrap=True)


@app.command()
def demo(
    out_folder: RunsFolder = Path("runs"),
    device: Device = "cpu",
    display: DisplayOption = None,
) -> None:
    """Run the bundled digits models, compare them, gate one of them, write a report: a few minutes on a CPU."""
    from .evals.runner import prepare
    from .evals.suite import read_suite

    with importlib.resources.as_file(importlib.resources.files("sigmascope.fixtures")) as folder:
        path = folder / "demo.toml"
        out.rule("1. run")
        out.print(f"sigmascope run {path}", soft_wrap=True, markup=False)
        with err.status("Loading models and data"):
            plan = prepare(read_suite(path), folder, device=device)
        done = _execute(plan, out_folder, display)
        out.rule("2. compare")
        _print_comparison(done)
        out.rule("3. gate")
        _print_gate(done, folder / "gate.toml")
    out.rule("4. report")
    target = out_folder / f"{done.id}.html"
    _write_report([done], target)
    out.print(f"wrote {target}", soft_wrap=True, markup=False)
    out.print(f"\nLook closer:  sigmascope view {out_folder}", soft_wrap=True, markup=False)


@app.command("list")
def list_(
    what: Annotated[Listing, typer.Argument(help="What to list.", show_default=False)],
    out_folder: RunsFolder = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List runs, or the names a suite may use."""
    rows = _listing(what, out_folder)
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
        return
    if not rows:
        err.print(f"no {what.value} in {out_folder}" if what is Listing.runs else f"no {what.value}")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A suite, or a policy of the gate.", show_default=False)],
) -> None:
    """Check a suite or a policy without running anything."""
    import tomllib

    from .evals.suite import read_suite
    from .reports.policy import read_policy

    try:
        is_policy = "gate" in tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: expected TOML, got: {error}") from error
    if is_policy:
        policy = read_policy(file)
        out.print(f"{file}: a policy of {len(policy.gate)} rules", markup=False, soft_wrap=True)
    else:
        suite = read_suite(file)
        out.print(f"{file}: a suite of {len(suite.models)} models", markup=False, soft_wrap=True)


@app.command()
def doctor() -> None:
    """Say what is installed, which device there is, and which weights are at hand."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from .metrics.features import FEATURE_NETWORKS, load_features

    table = Table("what", "found", show_header=False)
    table.add_row("sigmascope", __version__)
    table.add_row("python", sys.version.split()[0])
    for package in ("torch", "diffusers", "transformers", "torchmetrics", "plotly", "streamlit", "scikit-learn"):
        try:
            table.add_row(package, version(package))
        except PackageNotFoundError:
            table.add_row(package, "[yellow]not installed[/]")
    cuda = torch.cuda.is_available()
    table.add_row("device", torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads")
    for name in FEATURE_NETWORKS:
        try:
            table.add_row(f"features: {name}", escape(load_features(name).protocol))
        except SigmascopeError as error:
            table.add_row(f"features: {name}", f"[yellow]{escape(str(error))}[/]")
    out.print(table)


def main() -> None:
    """Entry point: every error becomes its exit code, and nothing unexpected looks like a regression."""
    command = typer.main.get_command(app)
    try:
        sys.exit(command(standalone_mode=False, auto_envvar_prefix="SIGMASCOPE") or 0)
    except SigmascopeError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except _UsageError as error:
        error.show()
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        err.print("stopped; run the same command to resume")
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        err.print("[bold red]error:[/] unexpected, see above; exit code 3 keeps it apart from a regression")
        sys.exit(3)


class _Bar:
    """Tells how a run goes: a bar on a terminal, lines elsewhere."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self.display = display
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("evaluations, {task.fields[rate]}/s,"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=err, disable=display is not Display.full)
        self.task: TaskID = self.progress.add_task("starting", total=plan.evaluations, rate="?")

    def cell(self, title: str, done: bool) -> None:
        self.progress.update(self.task, description=escape(title))
        if self.display is Display.plain and done:
            task = self.progress.tasks[0]
            err.print(f"{task.percentage:3.0f}%  {title}", markup=False, highlight=False, soft_wrap=True)

    def advance(self, evaluations: int) -> None:
        speed = self.progress.tasks[0].speed
        self.progress.update(self.task, advance=evaluations, rate=f"{speed:,.0f}" if speed else "?")


def _execute(plan: Plan, root: Path, display: Display | None) -> Run:
    from .evals.runner import execute

    bar = _Bar(plan, display or (Display.full if err.is_terminal else Display.plain))
    with bar.progress:
        watcher: Watcher = bar
        return execute(plan, root, watcher)


def _suite(path: Path, models: list[str] | None, seed: int | None) -> Any:
    from .evals.suite import read_suite

    suite = read_suite(path)
    if models:
        unknown = sorted(set(models) - {model.name for model in suite.models})
        if unknown:
            raise ConfigError(f"--model: expected one of {', '.join(m.name for m in suite.models)}, got {unknown[0]!r}")
        kept = [model for model in suite.models if model.name in models]
        baseline = suite.baseline if suite.baseline in models else ""
        suite = suite.model_copy(update={"models": kept, "baseline": baseline})
    return suite if seed is None else suite.model_copy(update={"seed": seed})


def _print_plan(plan: Plan) -> None:
    from .evals.runner import estimate

    cost = estimate(plan)
    table = Table("cell", "network evaluations", title=f"{plan.run_id}: {len(plan.cells)} cells")
    for cell in plan.cells:
        table.add_row(escape(cell.title), f"{cell.evaluations:,}")
    table.add_row("total", f"{plan.evaluations:,}", style="bold")
    out.print(table)
    out.print(
        f"about {cost.seconds / 60:.1f} minutes, {cost.memory_bytes / 2**20:,.0f} MiB on {plan.environment['device']}"
    )


def _listing(what: Listing, folder: Path) -> list[dict[str, Any]]:
    if what is Listing.runs:
        from .evals.store import Store

        runs, problems = Store(folder).scan()
        for problem in problems:
            err.print(f"unreadable: {problem}", markup=False, soft_wrap=True)
        return [
            {
                "id": run.id,
                "status": run.record.status,
                "created": run.record.created,
                "models": ", ".join(model.name for model in run.record.models),
                "cells": len(run.record.cells),
            }
            for run in runs
        ]
    from .evals.loading import known_loaders
    from .evals.probes import PROBES
    from .evals.samplers import GRIDS, SOLVERS
    from .evals.scoring import METRICS
    from .metrics.features import FEATURE_NETWORKS

    names: dict[Listing, list[str]] = {
        Listing.models: [f"{scheme}:..." for scheme in known_loaders()],
        Listing.samplers: [*SOLVERS, "diffusers:SCHEDULER"],
        Listing.grids: list(GRIDS),
        Listing.metrics: list(METRICS),
        Listing.probes: list(PROBES),
        Listing.features: list(FEATURE_NETWORKS),
    }
    return [{what.value: name} for name in names[what]]
