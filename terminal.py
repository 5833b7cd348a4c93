"""What the terminal shows: results on stdout, progress and errors on stderr. Names from runs are text, never markup."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table

from .reports.text import plain, visible

if TYPE_CHECKING:
    from .evals.planning import Plan
    from .evals.store import Run
    from .reports.gate import Verdict
    from .reports.report import Report


class Terminal(Console):
    """A console that names can't control: escape sequences come from styles alone, whoever prints."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


out, err = Terminal(), Terminal(stderr=True)


class Display(StrEnum):
    full = "full"
    plain = "plain"
    none = "none"


class Bar:
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


def execute_shown(plan: Plan, root: Path, display: Display | None) -> Run:
    """Execute a plan, its progress on stderr: a bar on a terminal and lines elsewhere, unless one is asked for."""
    from .evals.runner import Watcher, execute

    bar = Bar(plan, display or (Display.full if err.is_terminal else Display.plain))
    with bar.progress:
        watcher: Watcher = bar
        return execute(plan, root, watcher)


def print_plan(plan: Plan) -> None:
    from .evals.cost import estimate

    cost = estimate(plan)
    table = Table("cell", "network evaluations", title=f"{plan.run_id}: {len(plan.cells)} cells")
    for cell in plan.cells:
        table.add_row(escape(cell.title), f"{'up to ' if plan.adaptive(cell) else ''}{cell.evaluations:,}")
    table.add_row("total", f"{plan.evaluations:,}", style="bold")
    out.print(table)
    out.print(
        f"about {cost.seconds / 60:.1f} minutes, {cost.memory_bytes / 2**20:,.0f} MiB on {plan.environment['device']}"
    )


def print_report(report: Report) -> None:
    from .reports.ranking import sentence

    styles = {"worse": "red", "incomparable": "yellow", "unclear": "yellow", "better": "green"}
    for condition in report.conditions:
        _line(_text(condition), "yellow")
    for finding in report.findings:
        _line(f"{finding.kind:>12}  {_text(finding.text)}", styles.get(finding.kind))
    for title, ranking in report.rankings.items():
        _line(f"{'ranking':>12}  {_text(title)}: {_text(sentence(ranking))}; models that share a letter are tied")


def print_verdict(verdict: Verdict) -> None:
    """Lines, not a table: a narrow log must not cut the evidence."""
    for check in verdict.checks:
        named = " ".join(part for part in (check.model, check.metric, check.rule, check.where) if part)
        _line(f"{check.outcome.value:>12}  {_text(named)}{': ' if named else ''}{_text(check.evidence)}")
    out.print(f"{verdict.outcome.value} (exit code {verdict.exit_code})", style="bold", highlight=False)


def _line(text: str, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _text(words: str) -> str:
    """Words that hold names: one line that controls neither a terminal nor a GitHub log, which obeys "##[command]"."""
    return plain(words).replace("##[", "##\u200b[")
