"""An attribution in words and documents: the verdict's sentence, rows of a table, JSON, Markdown, one HTML file.

evals.attribution -> sentences, rows -> terminal, figures/attribution.py and files. All formats say the same sentences.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import StoreError
from .attribution_document import Finding, Subject
from .files import check_outputs
from .machine import finite
from .numbers import interval, number, sigma_range, signed
from .tables import each

if TYPE_CHECKING:
    from .attribution_document import AnyAttribution

COLUMNS = ("sigma", "contribution [95%]", "share [95%]", "alone", "last")
"""Of `rows`: "alone" and "last" are the change when the candidate has just this band, or gets it after all others.
Intervals hold for all bands at once."""


def finding(found: AnyAttribution, metric: str) -> Finding:
    """Whether there is a change in a metric: found, not told from none, or exactly none."""
    total = _total(found, metric)
    if total["change"] == 0 and not bool(_of(found, "bands", metric)["phi"].any()):
        return "equal"
    return "found" if total["low"] > 0 or total["high"] < 0 else "unclear"


def sentence(found: AnyAttribution, metric: str, subject: Subject) -> str:
    """ "81% [74, 88] of the change in KID from a to b, +0.0049 [0.0020, 0.0078], comes from sigma 0.31–1.2"."""
    total, kind = _total(found, metric), finding(found, metric)
    pair = f"from {subject.base} to {subject.candidate}"
    if kind == "equal":
        return f"No change in {metric} {pair}: no band of noise levels moves it at all"
    change = f"{signed(total['change'])} {interval(total['low'], total['high'])}".rstrip()
    if math.isnan(total["low"]):
        return f"{metric} changes by {change} {pair}; there is no interval, so no band is named"
    if kind == "unclear":
        return (
            f"{metric} changes by {change} {pair}, which {found.seeds:,} seeds can't tell from no change: no band is "
            f"named; a change of this size would take about {seeds_needed(found, metric):,} seeds"
        )
    first, *others = _ordered(found, metric)
    if not first["sure"]:
        return (
            f"No single band surely carries the change in {metric} {pair}, {change}; the largest part is {_part(first)}"
        )
    told = f"{_part(first, f'of the change in {metric} {pair}, {change}, comes')}"
    more = [_part(row) for row in others if row["sure"] and row["notable"]]
    return f"{told}; {', '.join(more)}" if more else told


def sentences(found: AnyAttribution, subject: Subject) -> list[str]:
    """One for each metric, the one to infer from first."""
    return [sentence(found, metric, subject) for metric in found.metrics]


def cost(found: AnyAttribution) -> str:
    """What it took, in network evaluations."""
    coalitions = "all coalitions" if found.exact else "both switch curves"
    return (
        f"{coalitions} of {found.bands.count} bands, {found.seeds:,} seeds: {found.evaluations * found.seeds:,.0f} "
        f"network evaluations, {found.full_runs:.2f} runs of the sampler"
    )


def seeds_needed(found: AnyAttribution, metric: str) -> int:
    """Seeds at which an interval as wide as now, shrinking as 1/sqrt, would end at 0. NaN-free metrics only."""
    total = _total(found, metric)
    half = (total["high"] - total["low"]) / 2
    return math.ceil(found.seeds * (half / total["change"]) ** 2) if total["change"] else found.seeds


def rows(found: AnyAttribution, metric: str) -> list[list[str]]:
    """A line per band under COLUMNS, from most noise to least."""
    return [
        [
            sigma_range(row.sigma_low, row.sigma_high),
            f"{signed(row.phi, 2)} {interval(row.band_low, row.band_high, 2)}".rstrip(),
            f"{share(row.share)} {share_interval(row.share_low, row.share_high)}".rstrip(),
            signed(row.leave_one_in, 2),
            signed(row.leave_one_out, 2),
        ]
        for row in each(_of(found, "bands", metric))
    ]


def curve_rows(found: AnyAttribution, metric: str) -> list[list[str]]:
    """Per switch: sigma, the change with the candidate above it, and with the candidate below it."""
    table = _of(found, "curves", metric).sort_values("sigma", ascending=False)
    above, below = (each(table[table["curve"] == side]) for side in ("above", "below"))
    return [
        [number(one.sigma, 2), *(f"{signed(row.change)} {interval(row.low, row.high)}".rstrip() for row in (one, two))]
        for one, two in zip(above, below, strict=True)
    ]


def share(value: float) -> str:
    """0.814 -> "81%"."""
    return "" if math.isnan(value) else f"{round(100 * value) + 0}%".replace("-", "−")


def share_interval(low: float, high: float) -> str:
    """ "[74, 88]", in percent."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{round(100 * low) + 0}, {round(100 * high) + 0}]".replace("-", "−")


def as_json(found: AnyAttribution, subject: Subject) -> str:
    """Everything, numbers to the last bit, with missing ones as null: `AttributionDocument`."""
    content: dict[str, Any] = {
        "base": subject.base,
        "candidate": subject.candidate,
        "settings": subject.settings,
        "findings": [
            {"metric": metric, "kind": finding(found, metric), "text": sentence(found, metric, subject)}
            for metric in found.metrics
        ],
        "bands": list(found.bands.edges),
        "seeds": found.seeds,
        "exact": found.exact,
        "evaluations_per_seed": found.evaluations,
        "full_runs": found.full_runs,
        "tables": {name: finite(table.to_dict("records")) for name, table in found.tables.items()},
    }
    return json.dumps(content, indent=1, allow_nan=False)


def as_markdown(found: AnyAttribution, subject: Subject) -> str:
    """For a pull request: sentences, the first metric's bands, its switch curves folded away."""
    from .markdown import MARKER, code, escape, table

    metric = found.metrics[0]
    curves = table(["switch at sigma", "candidate above", "candidate below"], curve_rows(found, metric))
    settings = ", ".join(f"{escape(name)} {code(value)}" for name, value in subject.settings.items())
    parts = [
        MARKER,
        f"## Which noise levels changed: {code(subject.candidate)} against {code(subject.base)}",
        "\n".join(f"- {escape(one)}" for one in sentences(found, subject)),
        table(list(COLUMNS), [[escape(cell) for cell in row] for row in rows(found, metric)]),
        f"<details><summary>Switch curves of {escape(metric)}</summary>\n\n{curves}\n\n</details>",
        f"{escape(cost(found))}. {settings}",
    ]
    return "\n\n".join(parts) + "\n"


def as_html(found: AnyAttribution, subject: Subject) -> str:
    """One file that opens offline, a figure per metric. Names are text, whatever they hold."""
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    from .figures.attribution import attribution
    from .html import ENVIRONMENT, drawn

    metrics = [
        {
            "title": metric,
            "sentence": sentence(found, metric, subject),
            "drawn": drawn(f"attribution-{index}", attribution(found, metric)),
            "rows": rows(found, metric),
            "curves": curve_rows(found, metric),
        }
        for index, metric in enumerate(found.metrics)
    ]
    return ENVIRONMENT.get_template("attribution.html.j2").render(
        subject=subject,
        metrics=metrics,
        columns=list(COLUMNS),
        cost=cost(found),
        plotlyjs=Markup(get_plotlyjs()),
    )


def write_attribution(paths: Sequence[Path], found: AnyAttribution, subject: Subject) -> None:
    """Write to each path in the format of its name: .html, .md or .json. Raises ConfigError and StoreError."""
    check_outputs(paths)
    written = {".html": as_html, ".md": as_markdown, ".json": as_json}
    for path in paths:
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text(written[path.suffix](found, subject), encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise StoreError(f"{path}: can't be written: {error}") from error


def _of(found: AnyAttribution, table: str, metric: str) -> pd.DataFrame:
    whole = found.tables[table]
    return whole[whole["metric"] == metric]


def _total(found: AnyAttribution, metric: str) -> dict[str, float]:
    row = _of(found, "totals", metric).iloc[0]
    return {name: float(row[name]) for name in ("change", "low", "high")}


def _ordered(found: AnyAttribution, metric: str) -> list[dict[str, Any]]:
    """Bands with the largest contribution first; whether each is sure, and at least 5% of the change."""
    table = _of(found, "bands", metric)
    table = table.assign(
        sure=(table["band_low"] > 0) | (table["band_high"] < 0), notable=table["share"].abs() >= 0.05
    ).sort_values("phi", key=lambda column: -column.abs())
    return [dict(row) for _, row in table.iterrows()]


def _part(row: dict[str, Any], words: str = "") -> str:
    """ "81% [74, 88] WORDS from sigma 0.31–1.2"."""
    bounds, band = share_interval(row["share_low"], row["share_high"]), sigma_range(row["sigma_low"], row["sigma_high"])
    return " ".join(part for part in (share(row["share"]), bounds, words, f"from sigma {band}") if part)
