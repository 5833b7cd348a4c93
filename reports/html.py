"""The report as one file: opens offline, prints, and holds its figures, images and plotly.js itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from .figures import grounds, style
from .figures.narrow import least_width, narrow
from .figures.where import kind_of
from .markdown import headline
from .numbers import interval, number, percent, reach, signed
from .plates import Plate
from .ranking import places
from .report import Report
from .sections import sections
from .summary import summary, worst_first
from .tables import cell_title
from .text import plain
from .verdicts import Outcome, Verdict

ENVIRONMENT = Environment(
    loader=PackageLoader("sigmascope.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(number=number, percent=percent, signed=signed, plain=plain)
ENVIRONMENT.globals.update(
    style=style, grounds=grounds, interval=interval, reach=reach, cell_title=cell_title, places=places, kind_of=kind_of
)


def page(report: Report, verdict: Verdict | None = None, command: str = "", title: str | None = None) -> str:
    """Report -> HTML. Names from the runs are text wherever they stand, whatever they hold."""
    runs = report.runs
    return ENVIRONMENT.get_template("report.html.j2").render(
        headline=_headline(report, verdict),
        title=title or ", ".join(dict.fromkeys(run.record.name for run in runs) or reversed(report.tables.labels)),
        report=report,
        verdict=verdict,
        command=command,
        records=[run.record for run in runs],
        summary=summary(report).to_dict("records"),
        comparisons=worst_first(report),
        sections=sections(report),
        draw=_drawn,
        fields={
            "What must agree": _fields([run.record.fingerprint for run in runs]),
            "What may differ": _fields([run.record.environment for run in runs]),
        },
        plotlyjs=Markup(get_plotlyjs()),
    )


@dataclass(frozen=True)
class Drawn:
    """A figure as a piece of the page. `width` is what its images need; `narrow` its layout on a phone, in JSON."""

    piece: Markup
    narrow: str
    width: int


def _drawn(plate: Plate) -> Drawn:
    return drawn(plate.name, plate.make())


def drawn(name: str, figure: go.Figure) -> Drawn:
    """Drawn by the page's one plotly.js. Plotly escapes what would end its script."""
    config = {
        "displaylogo": False,
        "responsive": True,
        "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": name},
    }
    piece = figure.to_html(full_html=False, include_plotlyjs=False, config=config, div_id=f"figure-{name}")
    return Drawn(Markup(piece), json.dumps(narrow(figure)), least_width(figure))


def _headline(report: Report, verdict: Verdict | None) -> tuple[str, str]:
    """(kind, sentence): what a reader with no time reads."""
    if verdict is not None:
        return {Outcome.FAIL: "worse", Outcome.PASS: "same"}.get(verdict.outcome, "unclear"), headline(verdict)
    if report.findings:
        return report.findings[0].kind, report.findings[0].text
    return "", f"There is no second model to compare {report.tables.baseline} with."


def _fields(mappings: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Every field with its value in each run, "" where it has none."""
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return [(name, [mapping.get(name, "") for mapping in mappings]) for name in names]
