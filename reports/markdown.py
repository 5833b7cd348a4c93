"""The report as a pull-request comment: verdict, worst bands, a sparkline over sigma, the metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from .compare import Comparison
from .gate import Outcome, Verdict
from .numbers import interval, number, percent, sigma_range, signed
from .report import Report
from .tables import cell_title

MARKER = "<!-- sigmascope -->"
"""First line of every comment, so that a later one replaces it."""
LIMIT = 60_000
"""Characters; GitHub refuses a comment of 64 KiB."""
ALERTS = {
    Outcome.PASS: ("TIP", "No regression"),
    Outcome.FAIL: ("CAUTION", "Regression"),
    Outcome.INCONCLUSIVE: ("WARNING", "Inconclusive: more images would settle it"),
    Outcome.INCOMPARABLE: ("WARNING", "Not comparable"),
}
BLOCKS = "▁▂▃▄▅▆▇█"


def comment(report: Report, verdict: Verdict | None = None, command: str = "") -> str:
    """Report -> Markdown. `command` reproduces it. Names stand as code, where nothing in them is markup."""
    parts = [MARKER, "## Sigmascope"]
    if verdict is not None:
        kind, words = ALERTS[verdict.outcome]
        parts += [f"> [!{kind}]\n> **{words}**", _checks(verdict)]
    parts += [f"- {escape(condition)}" for condition in report.conditions]
    parts += [f"- {escape(one.candidate)} was not compared: {escape(one.reason)}" for one in report.refused]
    for comparison in report.comparisons:
        parts += [f"### {code(comparison.candidate)} against {code(comparison.baseline)}", _levels(comparison)]
        parts += [_metrics(comparison)] if len(comparison.metrics) else []
    if command:
        parts.append(f"Reproduce: {code(command)}")
    return _fitting(parts)


def code(name: str) -> str:
    """A name as a code span, whatever it holds: on one line, fenced by more backticks than it has in a row."""
    flat = " ".join(name.split()).replace("|", "¦") or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def escape(words: str) -> str:
    """Words in running text: no markup, no HTML, no table cell ends, nobody notified."""
    flat = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", flat).replace("@", "@\u200b")


def sparkline(values: Sequence[float]) -> str:
    """Numbers of 0 or more as blocks, the largest the highest; "·" where there is none."""
    top = max((value for value in values if not math.isnan(value)), default=0.0) or 1.0
    return "".join("·" if math.isnan(value) else BLOCKS[round(value / top * (len(BLOCKS) - 1))] for value in values)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells must be escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _checks(verdict: Verdict) -> str:
    rows = [
        [code(check.model), escape(check.metric), check.rule, check.outcome, escape(check.evidence)]
        for check in verdict.checks
    ]
    return table(["model", "metric", "rule", "verdict", "evidence"], rows)


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
    return f"{ends} ({span})\n\n" + table(["worst at sigma", "denoising error ↓", "95% interval, all levels"], rows)


def _metrics(comparison: Comparison) -> str:
    """Every metric of every sampler setting, folded away."""
    arrows = {"lower": " ↓", "higher": " ↑", "": ""}
    rows = []
    for _, row in comparison.metrics.iterrows():
        difference = "" if math.isnan(row["difference"]) else signed(row["difference"])
        between = interval(row["low"], row["high"])
        names = [escape(row["metric"]) + arrows[row["better"]], escape(cell_title(row))]
        rows.append([*names, number(row["baseline"]), number(row["candidate"]), difference, between, row["status"]])
    header = ["metric", "sampler", "baseline", "candidate", "difference", "95% interval", "pairing"]
    return f"<details><summary>Metrics of samples</summary>\n\n{table(header, rows)}\n\n</details>"


def _fitting(parts: Sequence[str]) -> str:
    """As many parts as a comment may hold, and word of those left out."""
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) > LIMIT:
            kept.append("The rest does not fit into a comment; it is in the HTML report.")
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"
