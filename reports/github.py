"""The verdict inside a GitHub Actions job: annotations on stdout, the job summary, outputs for later steps.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, StoreError
from .markdown import LONGEST_TEXT, comment, headline
from .report import Report
from .text import plain
from .verdicts import Check, Outcome, Verdict

ANNOTATIONS = 10
"""That many of one kind GitHub shows for a step."""
SUMMARY_LIMIT = 1_000_000
"""Bytes; GitHub refuses a job summary above 1 MiB."""


def annotate(verdict: Verdict) -> list[str]:
    """At most ten lines that GitHub shows beside the job: an error for each failed check, a warning for each that is
    open. Of more than ten the last says how many."""
    open_checks = sorted(
        (check for check in verdict.checks if check.outcome is not Outcome.PASS),
        key=lambda check: list(Outcome).index(check.outcome),
    )
    lines = [_annotation(check) for check in open_checks]
    if len(lines) <= ANNOTATIONS:
        return lines
    more = f"{len(lines) - ANNOTATIONS + 1} more checks did not pass; the job summary lists them"
    return [*lines[: ANNOTATIONS - 1], f"::warning title=Sigmascope::{_message(more)}"]


def publish(report: Report, verdict: Verdict, command: str = "", environ: Mapping[str, str] = os.environ) -> list[str]:
    """Append to the job summary and to the step's outputs (verdict, exit_code, headline); returns the annotations.

    Raises ConfigError outside a GitHub job, StoreError for a file that can't be written.
    """
    check_job(environ)
    said = headline(verdict)
    _append(environ["GITHUB_STEP_SUMMARY"], comment(report, verdict, command, SUMMARY_LIMIT))
    if "GITHUB_OUTPUT" in environ:
        outputs = {"verdict": verdict.outcome.value, "exit_code": verdict.exit_code, "headline": said}
        _append(environ["GITHUB_OUTPUT"], "".join(f"{name}={value}\n" for name, value in outputs.items()))
    return annotate(verdict)


def check_job(environ: Mapping[str, str] = os.environ) -> None:
    """Raises ConfigError where there is no GitHub job to tell: before work whose result would be lost."""
    if not environ.get("GITHUB_STEP_SUMMARY"):
        raise ConfigError("--github: expected to run in a GitHub Actions job, got no GITHUB_STEP_SUMMARY")


def quoting() -> tuple[str, str]:
    """A pair of lines between which GitHub takes nothing that is printed for a command of its own."""
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}", f"::{token}::"


def _annotation(check: Check) -> str:
    kind = "error" if check.outcome is Outcome.FAIL else "warning"
    title = " ".join(part for part in (check.model, check.metric, check.rule, check.where, check.outcome.value) if part)
    return f"::{kind} title={_property(title)}::{_message(check.evidence)}"


def _message(text: str) -> str:
    return plain(text, LONGEST_TEXT).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _append(path: str, text: str) -> None:
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error}") from error
