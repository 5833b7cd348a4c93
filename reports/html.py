"""The report as one file: opens offline, prints, and holds its figures, images and plotly.js itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from .numbers import interval, number, percent, reach, signed
from .quantities import quantities, told
from .report import Report
from .tables import cell_title, metric_names, sample_settings
from .text import plain
from .verdicts import Verdict

_ENVIRONMENT = Environment(
    loader=PackageLoader("sigmascope.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(number=number, percent=percent, signed=signed, plain=plain)
_ENVIRONMENT.globals.update(interval=interval, reach=reach)


def page(report: Report, verdict: Verdict | None = None, command: str = "", title: str | None = None) -> str:
    """Report -> HTML. Names from the runs are text wherever they stand, whatever they hold."""
    runs = report.runs
    return _ENVIRONMENT.get_template("report.html.j2").render(
        title=title or ", ".join(dict.fromkeys(run.record.name for run in runs)),
        report=report,
        verdict=verdict,
        command=command,
        records=[run.record for run in runs],
        sections=_sections(report),
        fields={
            "What must agree": _fields([run.record.fingerprint for run in runs]),
            "What may differ": _fields([run.record.environment for run in runs]),
        },
        plotlyjs=Markup(get_plotlyjs()),
    )


@dataclass(frozen=True)
class Section:
    """A heading of the contents list, one sentence on how to read what follows, and the figures."""

    anchor: str
    title: str
    note: str
    figures: list[tuple[str, Markup]]


def _sections(report: Report) -> list[Section]:
    scored = [
        (metric, _div(report.samplers(metric), f"samplers-{i}")) for i, metric in enumerate(metric_names(report.tables))
    ]
    shown = [
        (
            cell_title(row),
            _div(report.samples(row["sampler"], int(row["steps"]), row["grid"], row["guidance"]), f"samples-{i}"),
        )
        for i, (_, row) in enumerate(sample_settings(report.tables).iterrows())
    ]
    return [
        Section(
            "noise-levels",
            "Noise levels",
            "Error of the denoised image at every noise level, and its ratio to the baseline's. Shades are 95% "
            "intervals: of each level above, of all levels at once below, on the same images and noise in both models.",
            [("", _div(report.noise_levels(), "noise-levels"))],
        ),
        Section(
            "diagnosis",
            "What is wrong, at which noise level",
            "What probes say of each model by itself, not against another: the curves that findings are about, with a "
            "dashed line where a perfect denoiser lies. Shades mark the levels of a finding.",
            _diagnosed(report),
        ),
        Section(
            "overview",
            "Overview",
            "Each model at its worst noise level and at its best sampler setting.",
            [("", _div(report.overview(), "overview"))],
        ),
        Section(
            "samplers",
            "Samplers",
            "Quality of the samples for what they cost. A sampler's score does not say where an error comes from: "
            "the noise levels do.",
            scored,
        ),
        Section(
            "parameterizations",
            "Parameterizations",
            "The same network error weighs differently in the image and in the noise, by what the network predicts.",
            [("", _div(report.parameterizations(), "parameterizations"))],
        ),
        Section(
            "samples",
            "Samples",
            "A column is one seed: the same starting noise in every model. Of each sampler, its dearest setting.",
            shown,
        ),
    ]


PROBED = 4
"""Curves drawn in the section on what is wrong."""


def _diagnosed(report: Report) -> list[tuple[str, Markup]]:
    """The curves of the worst findings; nothing where no probe was asked, or none found anything."""
    curves = told(report.diagnoses)[:PROBED]
    return [("", _div(report.probes(curves), "diagnosis"))] if len(quantities(report.tables, curves)) else []


def _div(figure: go.Figure, anchor: str) -> Markup:
    """A figure as a piece of the page, drawn by the page's one plotly.js. Plotly escapes what would end its script."""
    config = {
        "displaylogo": False,
        "responsive": True,
        "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    }
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=config, div_id=f"figure-{anchor}"))


def _fields(mappings: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Every field with its value in each run, "" where it has none."""
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return [(name, [mapping.get(name, "") for mapping in mappings]) for name in names]
