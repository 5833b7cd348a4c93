"""A report written to a file, in the format its name asks for: .html, .md, .json; with a verdict also .xml (JUnit)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError, StoreError
from . import html, machine, markdown
from .junit import junit
from .report import Report
from .verdicts import Verdict

FORMATS = (".html", ".md", ".json")


def write_report(paths: Sequence[Path], report: Report, verdict: Verdict | None = None, command: str = "") -> None:
    """Write the report to each path; a file appears whole or not at all. `command` is what reproduces it.

    Raises ConfigError for another file name before anything is written, StoreError for a place that can not be written.
    """
    check_outputs(paths, judged=verdict is not None)
    for path in paths:
        write_text(path, _text(path.suffix, report, verdict, command))


def check_outputs(paths: Sequence[Path], judged: bool = False) -> None:
    """Raises ConfigError for a file name of no known format or in no folder: before work whose result would be lost.

    `judged`: there will be a verdict.
    """
    formats = [*FORMATS, ".xml"] if judged else [*FORMATS]
    for path in paths:
        if path.suffix not in formats:
            raise ConfigError(f"output: expected a file ending in {', '.join(formats)}, got {str(path)!r}")
        if not path.parent.is_dir() or path.is_dir():
            raise ConfigError(f"output: expected a file in an existing folder, got {str(path)!r}")


def write_text(path: Path, text: str) -> None:
    """Write a file by one rename. Raises StoreError where that can't be done."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8", errors="replace")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"{path}: can't be written: {error}") from error


def _text(suffix: str, report: Report, verdict: Verdict | None, command: str) -> str:
    if suffix == ".html":
        return html.page(report, verdict, command)
    if suffix == ".md":
        return markdown.comment(report, verdict, command)
    if suffix == ".xml":
        assert verdict is not None
        return junit(verdict, report.conditions, command)
    return machine.as_json(report, verdict, command)
