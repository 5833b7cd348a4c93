"""The report as a pull-request comment: verdict, worst bands, a sparkline over sigma, the metrics.

Report -> parts, in the order in which they are read -> as many table rows as the size allows, the most important first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from .compare import Comparison
from .numbers import interval, number, percent, sigma_range, signed
from .ranking import places
from .report import Report
from .summary import worst_first
from .tables import cell_title, each
from .text import plain
from .verdicts import Outcome, Verdict

MARKER = "<!-- sigmascope -->"
"""First line of every comment, so that a later one replaces it."""
LIMIT = 60_000
"""Bytes; GitHub refuses a comment of 64 KiB."""
ALERTS = {
    Outcome.PASS: ("TIP", "No regression"),
    Outcome.FAIL: ("CAUTION", "Regression"),
    Outcome.INCONCLUSIVE: ("WARNING", "Inconclusive: more images would settle it"),
    Outcome.INCOMPARABLE: ("WARNING", "Not comparable"),
}
BLOCKS = "▁▂▃▄▅▆▇█"
LONGEST_NAME, LONGEST_TEXT = 120, 600
"""Characters of one name and of one sentence."""


@dataclass(frozen=True)
class Rows:
    """A table of which the last rows may be left out: they matter least."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    """Where there is one, the table is folded away under it."""

    def written(self, count: int) -> str:
        """The first `count` rows, and how many more there are."""
        left = len(self.rows) - count
        text = table(self.header, self.rows[:count])
        if left:
            text += f"\n\n{left:,} more rows do not fit in here; the HTML report has them."
        return f"<details><summary>{self.title}</summary>\n\n{text}\n\n</details>" if self.title else text


def comment(report: Report, verdict: Verdict | None = None, command: str = "", limit: int = LIMIT) -> str:
    """Report -> Markdown of at most `limit` bytes. `command` reproduces it. Names stand as code, where nothing in them
    is markup."""
    parts: list[str | Rows] = [MARKER, "## Sigmascope"]
    if verdict is not None:
        parts += [_alert(verdict), _checks(verdict)]
    elif report.findings:
        parts.append(f"**{report.findings[0].kind}**: {escape(report.findings[0].text)}")
    parts += [f"- {escape(condition)}" for condition in report.conditions]
    parts += [f"- {escape(one.candidate)} was not compared: {escape(one.reason)}" for one in report.refused]
    if report.rankings:
        parts += ["### Ranking", _ranking(report)]
    for comparison in worst_first(report):
        parts += [f"### {code(comparison.candidate)} against {code(comparison.baseline)}", _levels(comparison)]
        parts += [_metrics(comparison)] if len(comparison.metrics) else []
    if report.environment_differences:
        parts.append(_environment(report))
    if command:
        parts.append(f"Reproduce: {code(command, LONGEST_TEXT)}")
    return _fitting(parts, limit)


def code(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as a code span, whatever it holds: on one line, fenced by more backticks than it has in a row."""
    flat = plain(name, longest).replace("|", "¦") or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def escape(words: str, longest: int = LONGEST_TEXT) -> str:
    """Words in running text: no markup, no HTML, no table cell ends, no links, nobody and nothing referred to."""
    flat = plain(words, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = re.sub(r"([\\`*_{}\[\]|~!])", r"\\\1", flat)
    return re.sub(r"(@|#|://|\bwww\.|\bGH-)", "\\1\u200b", flat, flags=re.IGNORECASE)


def headline(verdict: Verdict) -> str:
    """The verdict in one line of plain text: what, in how many checks, and the evidence of the first of them."""
    _, words = ALERTS[verdict.outcome]
    decisive = [check for check in verdict.checks if check.outcome is verdict.outcome]
    if verdict.outcome is Outcome.PASS:
        return f"{words}: {len(verdict.checks)} of {len(verdict.checks)} checks passed"
    return plain(f"{words} ({len(decisive)} of {len(verdict.checks)} checks). {decisive[0].evidence}", LONGEST_TEXT)


def sparkline(values: Sequence[float]) -> str:
    """Numbers of 0 or more as blocks, the largest the highest; "·" where there is none."""
    top = max((value for value in values if not math.isnan(value)), default=0.0) or 1.0
    return "".join("·" if math.isnan(value) else BLOCKS[round(value / top * (len(BLOCKS) - 1))] for value in values)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells must be escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _alert(verdict: Verdict) -> str:
    words = headline(verdict)
    return f"> [!{ALERTS[verdict.outcome][0]}]\n> **{escape(words)}**"


def _checks(verdict: Verdict) -> Rows:
    ordered = sorted(verdict.checks, key=lambda check: list(Outcome).index(check.outcome))
    rows = (
        (
            code(check.model),
            code(check.metric),
            escape(f"{check.rule} {check.where}"),
            check.outcome.value,
            escape(check.evidence),
        )
        for check in ordered
    )
    return Rows(("model", "metric", "rule", "verdict", "evidence"), tuple(rows))


def _ranking(report: Report) -> Rows:
    """A row for each ranking: the denoising error's first, then the metrics'."""
    rows = (
        (
            code(title),
            "; ".join(f"{places(row)}. {code(row.model)} {number(row.value)} ({row.group})" for row in each(ranking)),
        )
        for title, ranking in report.rankings.items()
    )
    return Rows(("by", "place, model, value; models that share a letter are not told apart"), tuple(rows))


def _levels(comparison: Comparison) -> str:
    levels = comparison.levels
    if levels.empty:
        return "No noise level was measured."
    worse = [max(math.log(ratio), 0.0) for ratio in levels["ratio"]]
    ends = f"σ {number(levels['sigma'].min(), 2)} {code(sparkline(worse))} {number(levels['sigma'].max(), 2)}"
    span = f"how much higher the denoising error is, up to {percent(math.exp(max(worse)))}"
    worst = [band for band in comparison.bands if band.ratio > 1][:3]
    if not worst:
        return f"{ends} ({span})\n\nNo noise level is worse for sure."
    rows = [
        [
            sigma_range(band.sigma_low, band.sigma_high),
            percent(band.ratio),
            f"[{percent(band.low)}, {percent(band.high)}]",
        ]
        for band in worst
    ]
    return f"{ends} ({span})\n\n" + table(
        ["worst at sigma", "denoising error ↓", f"{comparison.settings.confidence:.0%} interval, all levels"], rows
    )


def _metrics(comparison: Comparison) -> Rows:
    """Every metric of every sampler setting, folded away; the surest losses first, what has no interval last."""
    arrows = {"lower": " ↓", "higher": " ↑", "": ""}
    rows = []
    for _, row in comparison.metrics.iloc[_by_importance(comparison.metrics)].iterrows():
        difference = "" if math.isnan(row["difference"]) else signed(row["difference"])
        between = interval(row["low"], row["high"])
        names = (code(row["metric"]) + arrows[row["better"]], code(cell_title(row)))
        rows.append((*names, number(row["baseline"]), number(row["candidate"]), difference, between, row["status"]))
    header = ("metric", "sampler", "baseline", "candidate", "difference", "95% interval", "pairing")
    return Rows(header, tuple(rows), "Metrics of samples")


def _by_importance(metrics: pd.DataFrame) -> list[int]:
    """Positions of rows: those not comparable, then by the loss in half widths of its interval, unknown ones last."""
    loss = metrics["difference"] * metrics["better"].map({"lower": 1.0, "higher": -1.0, "": 0.0})
    half = (metrics["high"] - metrics["low"]) / 2
    surety = (loss / half.where(half > 0)).fillna(-math.inf)
    known = surety.where(metrics["status"] != "incomparable", math.inf).tolist()
    return sorted(range(len(known)), key=lambda place: -known[place])


def _environment(report: Report) -> Rows:
    """What differs although it may: versions, device, commit."""
    header = ("differs", *(code(run.id) for run in report.runs))
    rows = tuple(
        (code(name), *(code(value) for value in values)) for name, values in report.environment_differences.items()
    )
    return Rows(header, rows, "Environment")


def _fitting(parts: Sequence[str | Rows], limit: int) -> str:
    """Parts of at most `limit` bytes: earlier tables get their rows first; where even none fit, the last parts go."""
    counts = {place: 0 for place, part in enumerate(parts) if isinstance(part, Rows)}

    def size(place: int) -> int:
        return len(_written(parts[place], counts.get(place, 0)).encode()) + 2

    ending = "The rest does not fit in here; it is in the HTML report."
    room = limit - len(ending) - 2
    left = room - sum(size(place) for place in range(len(parts)))
    for place in counts:
        part = parts[place]
        assert isinstance(part, Rows)
        for row in part.rows:
            left -= len(f"| {' | '.join(row)} |\n".encode())
            if left < 0:
                break
            counts[place] += 1
        left = max(left, 0)
    kept: list[str] = []
    for place, part in enumerate(parts):
        if size(place) > room:
            kept.append(ending)
            break
        room -= size(place)
        kept.append(_written(part, counts.get(place, 0)))
    return "\n\n".join(kept) + "\n"


def _written(part: str | Rows, count: int) -> str:
    return part.written(count) if isinstance(part, Rows) else part
