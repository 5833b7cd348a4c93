"""`sigmascope compare` and `sigmascope report`: what runs say, on the terminal, in one file, as figures for slides."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_models import RunsFolder
from .terminal import err, out, print_report

if TYPE_CHECKING:
    from .reports.report import Report


class Picture(StrEnum):
    png = "png"
    svg = "svg"


OutputFiles = Annotated[
    list[Path] | None,
    typer.Option("--output", "-o", help="Also write a file: .html, .md or .json.", show_default=False),
]
FiguresFolder = Annotated[
    Path | None,
    typer.Option(
        "--figures", help="Also write every figure to this folder, for slides; takes sigmascope\\[figures].",
        show_default=False,
    ),
]  # fmt: skip
FigureFormat = Annotated[Picture, typer.Option("--format", help="Of --figures.")]


def compare(
    base: Annotated[str, typer.Argument(help="RUN or RUN:MODEL.", show_default=False)],
    candidates: Annotated[list[str], typer.Argument(help="RUN or RUN:MODEL, one or more.", show_default=False)],
    runs_folder: RunsFolder = Path("runs"),
    output: OutputFiles = None,
    figures: FiguresFolder = None,
    picture: FigureFormat = Picture.png,
) -> None:
    """Compare models with a baseline, in pairs: where do they differ, and how surely? Three or more are ranked too."""
    from .evals.store import Store
    from .reports.report import assemble

    _check_written(output or [], figures)
    report = assemble(Store(runs_folder).together(base, *candidates))
    print_report(report)
    command = f"sigmascope compare {shlex.join([base, *candidates])} --runs {shlex.quote(str(runs_folder))}"
    _write(report, output or [], command, figures, picture)


def report(
    runs: Annotated[list[str], typer.Argument(help="Runs, or RUN:MODEL.", show_default=False)],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="A file: .html, .md or .json; without one and without --figures, report.html.",
            show_default=False,
        ),
    ] = None,
    figures: FiguresFolder = None,
    picture: FigureFormat = Picture.png,
    runs_folder: RunsFolder = Path("runs"),
) -> None:
    """Write runs up: as one self-contained file, and as figures for slides."""
    from .evals.store import Store
    from .reports.report import assemble

    files = output or ([] if figures else [Path("report.html")])
    _check_written(files, figures)
    found = [Store(runs_folder).find(reference) for reference in runs]
    command = f"sigmascope report {shlex.join(runs)} --runs {shlex.quote(str(runs_folder))}"
    _write(assemble(found), files, command, figures, picture)


def _check_written(files: list[Path], figures: Path | None) -> None:
    """Refuse what could not be written, before work whose result would be lost."""
    from .reports.files import check_outputs
    from .reports.slides import check_slides

    check_outputs(files)
    if figures:
        check_slides(figures)


def _write(report: Report, files: list[Path], command: str, figures: Path | None, picture: Picture) -> None:
    from .reports.files import write_report
    from .reports.slides import write_slides

    write_report(files, report, command=command)
    if figures:
        with err.status("Drawing figures"):
            written = write_slides(figures, report, picture.value)
        out.print(f"{len(written)} figures in {figures}", markup=False, soft_wrap=True)
