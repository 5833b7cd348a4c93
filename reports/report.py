"""What every document and page is made from: runs joined, compared and put into words, once.

runs -> assemble -> Report -> html.py, markdown.py, dashboards, the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ..metrics.units import Unit
from . import tables as frames
from .compare import DEFAULT, Band, Comparison, Incomparable, Settings, compare_all
from .figures import style
from .figures.noise_levels import noise_levels
from .figures.overview import overview
from .figures.parameterizations import parameterizations
from .figures.samplers import samplers
from .figures.samples import samples
from .findings import Finding, conditions, findings
from .tables import Tables, each
from .unpaired import said_of

if TYPE_CHECKING:
    from ..evals.store import Run


@dataclass(frozen=True)
class Report:
    """Tables of one run or several, every model's comparison with its reference, and the sentences about them."""

    runs: tuple[Run, ...]
    tables: Tables
    comparisons: tuple[Comparison, ...]
    refused: tuple[Incomparable, ...]
    findings: tuple[Finding, ...]
    conditions: tuple[str, ...]

    @property
    def colours(self) -> dict[str, str]:
        return style.model_colours(self.tables.labels)

    @property
    def bands(self) -> list[Band]:
        return [band for comparison in self.comparisons for band in comparison.bands]

    @property
    def reference(self) -> str:
        """The one model all are compared with, or "its baseline" where they have different ones."""
        names = {comparison.baseline for comparison in self.comparisons} or {self.tables.baseline}
        return names.pop() if len(names) == 1 else "its baseline"

    @property
    def environment_differences(self) -> dict[str, list[str]]:
        """Fields of the runs' environments that are not the same in all, with each run's value ("" if it has none)."""
        environments = [run.record.environment for run in self.runs]
        names = dict.fromkeys(name for environment in environments for name in environment)
        values = {name: [environment.get(name, "") for environment in environments] for name in names}
        return {name: found for name, found in values.items() if len(set(found)) > 1}

    def noise_levels(self, unit: Unit = "x0", theme: style.Theme = "light", sigma_data: float = 0.5) -> go.Figure:
        table = frames.noise_levels(self.tables, self.comparisons, unit, sigma_data)
        return noise_levels(table, self.bands, self.reference, self.colours, unit, theme)

    def samplers(self, metric: str, theme: style.Theme = "light") -> go.Figure:
        return samplers(frames.samplers(self.tables, metric), metric, self.colours, theme)

    def parameterizations(self, theme: style.Theme = "light") -> go.Figure:
        return parameterizations(frames.parameterizations(self.tables), self.colours, theme)

    def overview(self, theme: style.Theme = "light") -> go.Figure:
        return overview(frames.overview(self.tables, self.comparisons), self.tables.labels, self.colours, theme)

    def samples(self, sampler: str, steps: int, grid: str, theme: style.Theme = "light") -> go.Figure:
        """The images that the models kept of one sampler setting."""
        rows = {
            model.label: self.runs[model.source].images(model.name, sampler, steps, grid)
            for model in each(self.tables.models)
        }
        table = self.tables.samples
        chosen = (table["sampler"] == sampler) & (table["steps"] == steps) & (table["grid"] == grid)
        classes = {row.sample: row.label for row in each(table[chosen])}
        return samples({label: kept for label, kept in rows.items() if kept}, self.colours, classes, theme)


def assemble(runs: Sequence[Run], baseline: str | None = None, settings: Settings = DEFAULT) -> Report:
    """Join, compare and describe runs. Each model is compared with its namesake in the first run, or else the baseline.

    Raises ConfigError for an unknown baseline; what can't be compared is told in the report, not raised.
    """
    tables = frames.collect(runs, baseline)
    comparisons, refused = compare_all(tables, runs, settings)
    said = findings(comparisons, refused)
    first = [*conditions(runs), *said_of(comparisons)]
    return Report(tuple(runs), tables, tuple(comparisons), tuple(refused), tuple(said), tuple(first))
