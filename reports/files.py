"""A report written to a file, in the format its name asks for: .html, .md or .json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import ConfigError, StoreError
from . import html, machine, markdown
from .gate import Verdict
from .report import Report


def write_report(paths: Sequence[Path], report: Report, verdict: Verdict | None = None, command: str = "") -> None:
    """Write the report to each path; a file appears whole or not at all. `command` is what reproduces it.

    Raises ConfigError for another file name before anything is written, StoreError for a place that can not be written.
    """
    check_outputs(paths)
    for path in paths:
        if path.suffix == ".html":
            text = html.page(report)
        elif path.suffix == ".md":
            text = markdown.comment(report, verdict, command)
        else:
            text = machine.as_json(report, verdict)
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise StoreError(f"{path}: can't be written: {error}") from error


def check_outputs(paths: Sequence[Path]) -> None:
    """Raises ConfigError for a file name of no known format or in no folder: before work whose result would be lost."""
    for path in paths:
        if path.suffix not in (".html", ".md", ".json"):
            raise ConfigError(f"output: expected a file ending in .html, .md or .json, got {str(path)!r}")
        if not path.parent.is_dir() or path.is_dir():
            raise ConfigError(f"output: expected a file in an existing folder, got {str(path)!r}")
