"""What every document and page is made from: runs joined, compared and put into words, once.

runs -> assemble -> Report -> html.py, markdown.py, dashboards, the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..errors import DataError
from ..evals.records import TABLES
from ..metrics.units import Unit
from . import tables as frames
from .cheapest import Answer as Cheapest
from .cheapest import cheapest
from .compare import DEFAULT, Band, Comparison, Incomparable, Settings, compare_all
from .diagnosis import Diagnosis, diagnose
from .figures import strips, style
from .figures.film import film
from .figures.flow_or_diffusion import flow_or_diffusion
from .figures.model_or_solver import model_or_solver
from .figures.noise_levels import noise_levels
from .figures.overview import overview
from .figures.parameterizations import parameterizations
from .figures.probes import probes
from .figures.samplers import samplers
from .figures.samples import closeup, pairs, samples
from .figures.slices import slices
from .figures.steps import steps as steps_figure
from .figures.steps import walks
from .figures.strips import Shown
from .figures.where import where
from .findings import Finding, conditions, findings, in_order
from .flow_or_diffusion import sides
from .kept_images import kept_images
from .model_or_solver import Answer
from .model_or_solver import model_or_solver as model_or_solver_of
from .negligible import negligible
from .quantities import Curve, against_baseline, quantities, training_weights
from .quantities import slices as slices_of
from .ranking import rankings
from .remembered import remembered
from .samples import Sampled, sampled
from .tables import Tables, each
from .trajectories import FIRST, Quantity, of_quantity, of_setting
from .unpaired import lacking, said_of
from .worst import worst_findings

if TYPE_CHECKING:
    from ..evals.store import Run


@dataclass(frozen=True)
class Report:
    """Tables of one run or several, every model's comparison with its reference, and the sentences about them."""

    runs: tuple[Run, ...]
    tables: Tables
    comparisons: tuple[Comparison, ...]
    refused: tuple[Incomparable, ...]
    conditions: tuple[str, ...]

    def colours(self, theme: style.Theme = "light") -> dict[str, str]:
        """Each model's, of one hue on both grounds."""
        return style.model_colours(self.tables.labels, theme)

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

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What differs between the models, in words, the worst first."""
        said = findings(self.comparisons, self.refused)
        return tuple(in_order([*said, *worst_findings(self.comparisons, self.tables.evaluations)]))

    @cached_property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """What the probes say is wrong with each model, by itself, worst first."""
        found = []
        for source, run in enumerate(self.runs):
            labels = {row.name: row.label for row in each(self.tables.models) if row.source == source}
            found += [replace(one, model=labels[one.model]) for one in diagnose(run)]
        return tuple(sorted(found, key=lambda one: -one.size))

    @cached_property
    def rankings(self) -> dict[str, pd.DataFrame]:
        """Three models or more in order, with ties, by title; see `ranking.rankings`."""
        return rankings(self.tables, self.comparisons)

    @remembered
    def negligible(self, curve: Curve) -> pd.DataFrame:
        """The levels where a curve leaves the healthy range by too little to be told; see negligible.py."""
        return negligible(self.tables, curve)

    @remembered
    def noise_levels(
        self,
        unit: Unit = "x0",
        theme: style.Theme = "light",
        sigma_data: float = 0.5,
        curve: Curve | None = None,
        weighting: str = "",
    ) -> go.Figure:
        """Error and ratio; one curve of a probe under them, the baseline's training weights behind them, if asked."""
        table = frames.noise_levels(self.tables, self.comparisons, unit, sigma_data)
        asked = None if curve is None else quantities(self.tables, [curve])
        weights = None
        if weighting and self.tables.levels["model"].eq(self.tables.baseline).sum() > 1:
            weights = training_weights(self.tables, self.tables.baseline, weighting)
        small = () if curve is None else self.negligible(curve)["sigma"].tolist()
        return noise_levels(
            table, self.bands, self.reference, self.colours(theme), unit, theme, asked, weights,
            weighting.replace("_", " "), small, self.diagnoses,
        )  # fmt: skip

    def where(self, theme: style.Theme = "light") -> go.Figure:
        """Every comparison's verdict at every noise level, the worst comparison first."""
        return where(sorted(self.comparisons, key=lambda one: -max((b.ratio for b in one.bands), default=1.0)), theme)

    @remembered
    def probes(self, chosen: Sequence[Curve], theme: style.Theme = "light") -> go.Figure:
        """The curves of probes, one under another, with the bands of what is wrong, and grey where it is no finding."""
        small = {curve: self.negligible(curve)["sigma"].tolist() for curve in chosen}
        table = quantities(self.tables, chosen)
        return probes(table, self.colours(theme), theme, self.diagnoses, small, self.tables.baseline)

    @remembered
    def slices(self, model: str, curve: Curve, theme: style.Theme = "light") -> go.Figure:
        """One quantity of one model in every slice it has."""
        table = against_baseline(quantities(self.tables, slices_of(self.tables, curve)), self.tables.baseline)
        return slices(table[table["model"] == model], self.tables.baseline, theme)

    def worst(self, model: str, level: int | None = None) -> Shown:
        """The images that a model gets most wrong, at one level or at all; none where no run was kept."""
        rows, pictures = self._worst(model)
        return (rows if level is None else rows[rows["level"] == level]), pictures

    @remembered
    def _worst(self, model: str) -> Shown:
        if not self.runs:
            return pd.DataFrame(), {}
        source, name = next((row.source, row.name) for row in each(self.tables.models) if row.label == model)
        return kept_images(self.runs[source], name)

    @remembered
    def worst_images(
        self, model: str, level: int, theme: style.Theme = "light", first: strips.First = "losses"
    ) -> go.Figure:
        """The strip behind a point of a curve, the baseline's answers beside the model's where they are at hand."""
        own, base = self.worst(model, level), self.tables.baseline
        other = None if model == base else self.worst(base, level)
        return strips.worst(model, own, self.colours(theme), theme, base, other, first)

    @remembered
    def kept_image(self, model: str, image: int, theme: style.Theme = "light") -> go.Figure:
        """One image at every noise level at which the model kept it."""
        base = self.tables.baseline
        other = None if model == base else self.worst(base)
        return strips.image(model, self.worst(model), image, self.colours(theme), theme, base, other)

    @remembered
    def denoise_strips(self, models: Sequence[str], theme: style.Theme = "light") -> go.Figure:
        """What each model makes of the last one's worst image at every level."""
        return strips.levels({model: self.worst(model) for model in models}, self.colours(theme), theme)

    @remembered
    def pairs(self, models: Sequence[str], setting: Mapping[str, Any], theme: style.Theme = "light") -> go.Figure:
        """Same-seed images of two models in one sampler setting, to flip between."""
        found = self.sampled(setting)
        return pairs({model: found.kept.get(model, {}) for model in models}, found.classes, theme)

    def images(self, setting: Mapping[str, Any]) -> tuple[dict[str, dict[int, np.ndarray]], dict[int, int]]:
        """(model -> sample id -> HWC uint8, sample id -> class) of a sampler setting, a row of `sample_settings`."""
        found = self.sampled(setting)
        return {model: dict(kept) for model, kept in found.kept.items()}, dict(found.classes)

    def sampled(self, setting: Mapping[str, Any]) -> Sampled:
        """All that is kept of a sampler setting, a row of `sample_settings`; the last one is remembered."""
        key = tuple(str(setting.get(name, "")) for name in ("sampler", "steps", "grid", "guidance"))
        if self._sampled.get("key") != key:
            self._sampled.update(key=key, found=sampled(self.runs, self.tables, setting))
        found: Sampled = self._sampled["found"]
        return found

    @cached_property
    def _sampled(self) -> dict[str, Any]:
        return {}

    @remembered
    def closeup(self, sample: int, setting: Mapping[str, Any], theme: style.Theme = "light") -> go.Figure:
        """One seed in every model, with the training images nearest to its samples."""
        return closeup(self.sampled(setting), sample, self.colours(theme), self.tables.baseline, theme)

    @remembered
    def samplers(
        self, metric: str, theme: style.Theme = "light", model: str = "", chosen: Mapping[str, Any] | None = None
    ) -> go.Figure:
        """Quality against cost, of all models or of one; a ring around the chosen setting, its model among it."""
        return samplers(self.settings(metric, ""), metric, self.colours(theme), theme, model, chosen)

    @remembered
    def settings(self, metric: str, model: str) -> pd.DataFrame:
        """`tables.samplers`: a row per sampler setting of a model, or of all for ""."""
        return frames.samplers(self.tables, metric, model)

    @remembered
    def cheapest(self, metric: str, model: str) -> Cheapest | None:
        """Which setting of a model, or of all for "", is the cheapest within 5% of the best; None for no question."""
        return cheapest(self.settings(metric, model), metric)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The runs' table `steps`, each model under its label."""
        return self._joined("steps")

    def _joined(self, name: str) -> pd.DataFrame:
        tables = [run.table(name).replace({"model": self._labels(source)}) for source, run in enumerate(self.runs)]
        filled = [table for table in tables if len(table)]
        return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(TABLES[name]))

    def _labels(self, source: int) -> dict[str, str]:
        """What one run's models are called here."""
        return {row.name: row.label for row in each(self.tables.models) if row.source == source}

    @cached_property
    def solver_answers(self) -> tuple[Answer, ...]:
        """Is it the model or the solver? An answer for each setting whose steps were measured; none for other runs."""
        found: list[Answer] = []
        for source, run in enumerate(self.runs):
            labels = self._labels(source)
            with suppress(DataError):
                found += [
                    replace(one, setting={**one.setting, "model": labels[str(one.setting["model"])]})
                    for one in model_or_solver_of(run)
                ]
        return tuple(found)

    def model_or_solver(
        self, models: Sequence[str] = (), settings: Sequence[str] = (), theme: style.Theme = "light"
    ) -> go.Figure:
        """Model error beside solver error on one sigma axis; of some models and settings only, and in that order.

        settings: as `Answer.steps` writes them, "heun, 20 steps (log_snr)".
        """
        chosen = [one for one in self.solver_answers if not models or one.setting["model"] in models]
        chosen = [one for one in chosen if not settings or one.steps in settings]
        rank = {name: place for place, name in enumerate([*models, *settings])}
        chosen.sort(key=lambda one: (rank.get(str(one.setting["model"]), 0), rank.get(one.steps, 0)))
        return model_or_solver(chosen, self.colours(theme), theme)

    def flow_or_diffusion(self, metric: str = "", theme: style.Theme = "light") -> go.Figure:
        """Straightness, where paths bend and quality in few steps of the first run's models. Raises DataError."""
        found, labels = sides(self.runs[0], metric), self._labels(0)
        paths, bends, few = (table.replace({"model": labels}) for table in (found.paths, found.bends, found.few))
        return flow_or_diffusion(replace(found, paths=paths, bends=bends, few=few), self.colours(theme), theme)

    def along(self, setting: Mapping[str, Any], one: Quantity = FIRST, theme: style.Theme = "light") -> go.Figure:
        """One quantity of a trajectory probe over the intervals of a sampler setting, of all models."""
        return steps_figure(of_quantity(of_setting(self.steps, setting), one), one, self.colours(theme), theme)

    def walks(self, chosen: Sequence[Quantity], theme: style.Theme = "light") -> go.Figure:
        """Numbers of whole walks, such as order and straightness, of every setting and model."""
        return walks(self.steps, chosen, self.colours(theme), theme)

    @cached_property
    def filmed(self) -> pd.DataFrame:
        """The runs' table `film`, each model under its label."""
        return self._joined("film")

    def film(self, setting: Mapping[str, Any], sample: int, theme: style.Theme = "light") -> go.Figure:
        """One seed's way from noise to a sample, as strips, in each model that kept it."""
        rows = of_setting(self.filmed, setting)
        rows = rows[rows["sample"] == sample].drop_duplicates("index").sort_values("index")
        asked = (str(setting["sampler"]), int(setting["steps"]), str(setting["grid"]), str(setting["guidance"]))
        films = {}
        for model in each(self.tables.models):
            kept = self.runs[model.source].film(model.name, *asked)
            films[model.label] = {(index, what): one for (of, index, what), one in kept.items() if of == sample}
        return film(films, rows["sigma"].astype(float).tolist(), self.colours(theme), theme)

    @remembered
    def parameterizations(self, theme: style.Theme = "light") -> go.Figure:
        table = frames.parameterizations(self.tables)
        return parameterizations(table, self.colours(theme), theme, self.tables.baseline)

    @remembered
    def overview(self, theme: style.Theme = "light") -> go.Figure:
        table = frames.overview(self.tables, self.comparisons)
        return overview(table, self.tables.labels, self.colours(theme), theme)

    @remembered
    def samples(
        self,
        sampler: str,
        steps: int,
        grid: str,
        guidance: str = "",
        theme: style.Theme = "light",
        ids: Sequence[int] | None = None,
        score: str = "",
        of: str = "",
        pitch: int = 74,
        models: Sequence[str] = (),
    ) -> go.Figure:
        """The images that the models kept of one sampler setting, the first twelve or those named; see samples.py.

        models: these only, in this order.
        """
        found = self.sampled({"sampler": sampler, "steps": steps, "grid": grid, "guidance": guidance})
        if models:
            found = replace(found, kept={model: found.kept[model] for model in models if model in found.kept})
        return samples(found, self.colours(theme), theme, ids, score, of, pitch)


def assemble(runs: Sequence[Run], baseline: str | None = None, settings: Settings = DEFAULT) -> Report:
    """Join, compare and describe runs. Each model is compared with its namesake in the first run, or else the baseline.

    Raises ConfigError for an unknown baseline; what can't be compared is told in the report, not raised.
    """
    return compared(runs, frames.collect(runs, baseline), settings)


def compared(runs: Sequence[Run], tables: Tables, settings: Settings = DEFAULT) -> Report:
    """`assemble` where the runs' tables are already at hand."""
    comparisons, refused = compare_all(tables, runs, settings)
    first = [*conditions(runs), *said_of(comparisons, lacking(runs))]
    return Report(tuple(runs), tables, tuple(comparisons), tuple(refused), tuple(first))
