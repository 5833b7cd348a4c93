"""The command line. A command parses, calls one function, prints; results go to stdout, progress and errors to stderr.

Exit codes: 0 pass, 1 regression, 2 usage or configuration, 3 runtime or infrastructure, 4 inconclusive, 5 incomparable.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import shlex
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from . import __version__, cli_metrics
from .cli_advise import advise
from .cli_attribute import attribute
from .cli_baseline import baseline as baselines
from .cli_diagnose import diagnose
from .cli_history import history
from .cli_inspect import inspect
from .cli_kept import KeepOption, told_kept
from .cli_models import RunsFolder, TrustPickle
from .cli_plan import plan as planned
from .cli_report import compare, report
from .cli_schema import schema
from .cli_sequential import Asked, BudgetOption, DataOption, LimitOption, SequentialOption, decide_sequentially
from .errors import ConfigError, SigmascopeError
from .terminal import Display, err, execute_shown, out, print_plan, print_report, print_verdict

if TYPE_CHECKING:
    from .evals.store import Run
    from .evals.suite import Suite
    from .reports.decide import Decision
    from .reports.policy import Policy

app = typer.Typer(
    help="Evaluation and diagnostics for denoisers: where does a model degrade, and how sure is that?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Listing(StrEnum):
    runs = "runs"
    models = "models"
    samplers = "samplers"
    grids = "grids"
    metrics = "metrics"
    probes = "probes"
    features = "features"
    protocols = "protocols"


_UsageError: Any = typer.BadParameter.__base__  # typer carries its own click, and exports only the leaves


OutFolder = Annotated[Path, typer.Option("--out", help="Folder of runs.", envvar="SIGMASCOPE_RUNS")]
GateFiles = Annotated[
    list[Path] | None,
    typer.Option("--output", "-o", help="Also write a file: .html, .md, .json or .xml (JUnit).", show_default=False),
]
DisplayOption = Annotated[Display | None, typer.Option(help="Progress: a bar, lines, or nothing.", show_default=False)]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1 ...")]


@app.command()
def run(
    suite: Annotated[Path, typer.Argument(help="A suite in TOML.", show_default=False)],
    out_folder: OutFolder = Path("runs"),
    model: Annotated[list[str] | None, typer.Option(help="Only these: a NAME of the suite, or NAME=SPEC.")] = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the suite's.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="At most so many images and samples.")] = None,
    device: Device = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows carried at once; changes no result.")] = 1024,
    trust_pickle: Annotated[bool, typer.Option("--trust-pickle", help="Unpickle models; may run any code.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
    display: DisplayOption = None,
) -> None:
    """Run a suite: models x probes and samplers. Run it again and it resumes."""
    from .evals.planning import prepare

    with err.status("Loading models and data"):
        plan = prepare(
            _suite(suite, model, seed),
            suite.parent,
            device=device,
            limit=limit,
            batch_size=batch_size,
            trust_pickle=trust_pickle,
        )
    if dry_run:
        print_plan(plan)
        return
    done = execute_shown(plan, out_folder, display)
    out.print(f"{escape(done.id)}: {len(done.record.cells)} cells in {escape(str(done.folder))}", soft_wrap=True)


@app.command()
def demo(
    out_folder: OutFolder = Path("runs"),
    device: Device = "cpu",
    display: DisplayOption = None,
) -> None:
    """Run the bundled digits models, compare them, gate one of them, write a report: a few minutes on a CPU."""
    from .evals.planning import prepare
    from .evals.store import Store
    from .evals.suite import read_suite
    from .reports.files import write_report
    from .reports.kept import Question, keep_gate
    from .reports.policy import read_policy
    from .reports.report import assemble

    with importlib.resources.as_file(importlib.resources.files("sigmascope.fixtures")) as folder:
        path = folder / "demo.toml"
        out.rule("1. run")
        out.print(f"sigmascope run {path}", soft_wrap=True, markup=False)
        with err.status("Loading models and data"):
            plan = prepare(read_suite(path), folder, device=device)
        done = execute_shown(plan, out_folder, display)
        out.rule("2. compare")
        print_report(assemble([done]))
        out.rule("3. gate")
        base, candidate = f"{done.id}:digits-eps", f"{done.id}:digits-regressed"
        file, policy = folder / "gate.toml", read_policy(folder / "gate.toml")
        command = f"sigmascope gate {candidate} --baseline {base} --policy {file} --runs {out_folder}"
        out.print(command, soft_wrap=True, markup=False)
        decision = _judge(Store(out_folder).pair(base, candidate), policy)
        told_kept(lambda: keep_gate(out_folder, decision, Question(base, candidate, str(file), policy), command))
    out.rule("4. report")
    write_report([out_folder / f"{done.id}.html"], assemble([done]))
    out.print(f"\nLook closer:  sigmascope view {out_folder}", soft_wrap=True, markup=False)


app.command()(compare)


@app.command()
def gate(
    candidate: Annotated[str, typer.Argument(help="RUN or RUN:MODEL.", show_default=False)],
    baseline: Annotated[str, typer.Option(help="A baseline file, RUN or RUN:MODEL.", show_default=False)],
    policy: Annotated[Path, typer.Option(help="What must hold, in TOML.", show_default=False)],
    runs_folder: RunsFolder = Path("runs"),
    output: GateFiles = None,
    github: Annotated[
        bool, typer.Option("--github", help="Annotations, job summary and outputs of a GitHub Actions job.")
    ] = False,
    sequential: SequentialOption = False,
    data: DataOption = "",
    budget: BudgetOption = None,
    limit: LimitOption = None,
    device: Device = "cpu",
    trust_pickle: TrustPickle = False,
    keep: KeepOption = True,
) -> None:
    """Judge a candidate by a policy. Exit code 0 pass, 1 regression, 4 inconclusive, 5 incomparable."""
    from .evals.store import Store
    from .reports.baseline import gate_pair
    from .reports.files import check_outputs, write_report
    from .reports.github import check_job
    from .reports.kept import Question, keep_gate
    from .reports.policy import read_policy

    check_outputs(output or [], judged=True)
    if github:
        check_job()
    asked = Asked(data, limit, budget, device, trust_pickle)
    flags = [f"--baseline {shlex.quote(baseline)}", f"--policy {shlex.quote(str(policy))}"]
    command = " ".join(["sigmascope gate", shlex.quote(candidate), *flags, f"--runs {shlex.quote(str(runs_folder))}"])
    rules = read_policy(policy)
    if sequential:
        command = command.replace("gate", "gate --sequential", 1)
        decision = decide_sequentially(candidate, baseline, rules, runs_folder, asked)
        _tell(decision, command, github)
    else:
        asked.refuse_unless_sequential()
        decision = _judge(gate_pair(Store(runs_folder), baseline, candidate), rules, command, github)
    if keep:
        question = Question(baseline, candidate, str(policy), rules)
        told_kept(lambda: keep_gate(runs_folder, decision, question, command))
    write_report(output or [], decision.report, decision.verdict, command)
    raise typer.Exit(decision.verdict.exit_code)


app.command()(report)


@app.command()
def view(
    folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
) -> None:
    """Open the dashboard on a folder of runs, on this machine only."""
    from .dashboards.launch import check_free, serve

    if not folder.is_dir():
        raise ConfigError(f"expected a folder of runs, got {folder}; `sigmascope demo` makes one")
    check_free(port)
    out.print(f"http://127.0.0.1:{port}", soft_wrap=True)
    raise typer.Exit(3 if serve(folder, port) else 0)


@app.command("list")
def list_(
    what: Annotated[Listing, typer.Argument(help="What to list.", show_default=False)],
    runs_folder: RunsFolder = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List runs, or the names a suite may use."""
    rows = _listing(what, runs_folder)
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
        return
    if not rows:
        err.print(f"no {what.value} in {runs_folder}" if what is Listing.runs else f"no {what.value}")
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
        content = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: expected TOML, got: {error}") from error
    if not {"gate", "models"} & content.keys():
        raise ConfigError(f"{file}: expected a suite with [[models]] or a policy with [[gate]], got {sorted(content)}")
    if "gate" in content:
        policy = read_policy(file)
        out.print(f"{file}: a policy, rules: {len(policy.gate)}", markup=False, soft_wrap=True)
    else:
        suite = read_suite(file)
        out.print(f"{file}: a suite, models: {len(suite.models)}", markup=False, soft_wrap=True)


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


cli_metrics.register(app)
app.command()(inspect)
app.command()(diagnose)
app.command()(attribute)
app.command()(advise)
app.command("plan")(planned)
app.command()(history)
app.command()(schema)
app.add_typer(baselines, name="baseline")


def main() -> None:
    """Entry point: every error becomes its exit code, and nothing unexpected looks like a regression."""
    command = typer.main.get_command(app)
    try:
        code = command(standalone_mode=False, auto_envvar_prefix="SIGMASCOPE") or 0
        sys.stdout.flush()
    except SystemExit as stop:  # ours are typer.Exit; this came from a library, for a closed pipe, or from a model
        err.print(f"[bold red]error:[/] stopped by a call of exit({escape(str(stop.code))})")
        sys.exit(3)
    except SigmascopeError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except _UsageError as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; Python would complain at exit
        sys.exit(3)
    except (typer.Abort, KeyboardInterrupt):
        err.print("stopped; run the same command to resume")
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        err.print("[bold red]error:[/] unexpected, see above; exit code 3 keeps it apart from a regression")
        sys.exit(3)
    sys.exit(code)


def _suite(path: Path, models: list[str] | None, seed: int | None) -> Suite:
    from .evals.suite import read_suite

    suite = read_suite(path)
    if models:
        suite = suite.choose(models)
    return suite if seed is None else suite.model_copy(update={"seed": seed})


def _listing(what: Listing, folder: Path) -> list[dict[str, Any]]:
    if what is Listing.runs:
        from .evals.store import Store

        index = Store(folder).index()
        for problem in index.problems:
            err.print(f"unreadable: {problem}", markup=False, soft_wrap=True)
        return [
            {
                "id": run["id"],
                "status": run["status"],
                "created": run["created"],
                "models": ", ".join(run["models"]),
                "cells": run["cells"],
            }
            for run in index.runs.to_dict("records")
        ]
    from .evals.loading import known_loaders
    from .evals.probes import PROBES
    from .evals.samplers import GRIDS, SOLVERS
    from .evals.scoring import METRICS
    from .metrics.features import FEATURE_NETWORKS
    from .metrics.protocols import PROTOCOLS

    names: dict[Listing, list[str]] = {
        Listing.models: [f"{scheme}:..." for scheme in known_loaders()],
        Listing.samplers: [*SOLVERS, "diffusers:SCHEDULER"],
        Listing.grids: list(GRIDS),
        Listing.metrics: list(METRICS),
        Listing.probes: list(PROBES),
        Listing.features: list(FEATURE_NETWORKS),
        Listing.protocols: list(PROTOCOLS),
    }
    return [{what.value: name} for name in names[what]]


def _judge(runs: list[Run], policy: Policy, command: str = "", github: bool = False) -> Decision:
    """Compare the last run's models with their baseline, judge them, print the verdict."""
    from .reports.decide import decide

    return _tell(decide(runs, policy), command, github)


def _tell(decision: Decision, command: str = "", github: bool = False) -> Decision:
    """Print the verdict, for a GitHub job as well."""
    from .reports.github import publish, quoting

    opening, closing = quoting() if github else ("", "")
    if github:
        print(opening)  # noqa: T201
    print_verdict(decision.verdict)
    if github:
        print(closing, *publish(decision.report, decision.verdict, command), sep="\n")  # noqa: T201
    return decision
