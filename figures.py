"""The figures of the dashboard and of the HTML report in a notebook: `sigmascope.figures.noise_levels("latest")`.

runs -> report -> a plotly Figure. Runs are given as ids, "latest", paths or `Run`s, one or several, or as a `Report`
that was made before. Ids are looked up in the folder SIGMASCOPE_RUNS, else in ./runs. The baseline is the first run's
own unless one is named. What isn't asked for is chosen as the report does: the worst model, where it is worst.

Raises ConfigError for a run, model, metric or curve that is not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from .errors import ConfigError
from .evals.store import Run, Store
from .metrics.units import Unit
from .reports.figures import history as _history
from .reports.figures.style import Theme
from .reports.history import follow
from .reports.quantities import Curve, offered, told
from .reports.report import Report, assemble
from .reports.sampler_plates import blamed, finest
from .reports.summary import dearest_setting, worst_level, worst_pair
from .reports.tables import metric_names
from .reports.trajectories import FIRST, Quantity, of_setting, offered_steps

One = Run | str | Path
Runs = Report | One | Sequence[One]

LATEST = "latest"
ERROR = Curve("denoising_error", "error")


def report(runs: Runs = LATEST, *, baseline: str | None = None) -> Report:
    """Runs joined and compared: what every figure here is made of. Give it to several, and that is done once."""
    if isinstance(runs, Report):
        return runs if baseline in (None, runs.tables.baseline) else assemble(runs.runs, baseline)
    return assemble(_found(runs), baseline)


def overview(runs: Runs = LATEST, *, baseline: str | None = None, theme: Theme = "light") -> go.Figure:
    """The leaderboard: each model at its worst noise level and at its best sampler setting."""
    return report(runs, baseline=baseline).overview(theme)


def where(runs: Runs = LATEST, *, baseline: str | None = None, theme: Theme = "light") -> go.Figure:
    """Which model is worse, and where: a cell for each noise level."""
    return report(runs, baseline=baseline).where(theme)


def noise_levels(
    runs: Runs = LATEST,
    unit: Unit = "x0",
    *,
    baseline: str | None = None,
    theme: Theme = "light",
    sigma_data: float = 0.5,
    curve: Curve | None = None,
    weighting: str = "",
) -> go.Figure:
    """Denoising error at every level and its ratio to the baseline's, with 95% intervals.

    unit: of the error; sigma_data: of unit "F" alone. curve: of a probe, as a third panel. weighting: a training loss
    whose weights are drawn behind, "edm", "min_snr" or "p2".
    """
    return report(runs, baseline=baseline).noise_levels(unit, theme, sigma_data, curve, weighting)


def samplers(
    runs: Runs = LATEST, metric: str = "", *, baseline: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Quality against network evaluations by one metric, at first the runs' first."""
    made = report(runs, baseline=baseline)
    known = metric_names(made.tables)
    if metric and metric not in known:
        raise ConfigError(f"metric: expected one of {', '.join(known) or 'none'}, got {metric!r}")
    return made.samplers(metric or next(iter(known), ""), theme)


def parameterizations(runs: Runs = LATEST, *, baseline: str | None = None, theme: Theme = "light") -> go.Figure:
    """Error of the raw output, and what becomes of it in the image and in the noise."""
    return report(runs, baseline=baseline).parameterizations(theme)


def probes(
    runs: Runs = LATEST, curves: Sequence[Curve] = (), *, baseline: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Curves of probes, at first those that findings are about, else all that are of all images."""
    made = report(runs, baseline=baseline)
    chosen = curves or told(made.diagnoses) or [one for one in offered(made.tables) if one.slice == "all"]
    for one in chosen:
        if one not in offered(made.tables):
            raise _unknown(made, one)
    return made.probes(chosen, theme)


def slices(
    runs: Runs = LATEST,
    model: str = "",
    curve: Curve = ERROR,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """One quantity in every class, frequency or region, of one model, at first the worst."""
    made = report(runs, baseline=baseline)
    known = {(one.probe, one.quantity) for one in offered(made.tables)}
    if (curve.probe, curve.quantity) not in known:
        raise _unknown(made, curve)
    return made.slices(_model(made, model), curve, theme)


def worst(
    runs: Runs = LATEST,
    model: str = "",
    level: int | None = None,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The images that a model gets most wrong at one level, at first those of the worst model at its worst."""
    made = report(runs, baseline=baseline)
    levels = made.tables.levels
    top = worst_level(made)
    name = model or (top[0] if top else made.tables.baseline)
    if level is None:
        level = top[1] if top and top[0] == name else int(levels["level"].median())
    return made.worst_images(_model(made, name), level, theme)


def denoise_strips(
    runs: Runs = LATEST, models: Sequence[str] = (), *, baseline: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """What models make of the last one's worst image at every level; at first the baseline and the worst."""
    made = report(runs, baseline=baseline)
    return made.denoise_strips([_model(made, one) for one in models or _pair(made)], theme)


def pairs(
    runs: Runs = LATEST,
    models: Sequence[str] = (),
    setting: Mapping[str, Any] | None = None,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Same-seed samples of two models, to flip between, of one setting: sampler, steps, grid and guidance."""
    made = report(runs, baseline=baseline)
    return made.pairs([_model(made, one) for one in models or _pair(made)], _setting(made, setting), theme)


def samples(
    runs: Runs = LATEST,
    setting: Mapping[str, Any] | None = None,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The images that models kept of one sampler setting: a row per model, a column per seed."""
    made = report(runs, baseline=baseline)
    return made.samples(**_setting(made, setting), theme=theme)


def model_or_solver(
    runs: Runs = LATEST,
    models: Sequence[str] = (),
    settings: Sequence[str] = (),
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Model error beside solver error: of the worst model and its baseline, where the solver errs least and most."""
    made = report(runs, baseline=baseline)
    chosen = blamed(made) or ([], [])
    return made.model_or_solver(list(models) or chosen[0], list(settings) or ([] if models else chosen[1]), theme)


def along(
    runs: Runs = LATEST,
    setting: Mapping[str, Any] | None = None,
    quantity: Quantity | None = None,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """What is lost in each step of a sampler setting, at first the one of most steps."""
    made = report(runs, baseline=baseline)
    of = _looked_at(made.steps, setting)
    offered = offered_steps(of_setting(made.steps, of), whole=False)
    return made.along(of, quantity or next(iter(offered), FIRST), theme)


def walks(
    runs: Runs = LATEST, chosen: Sequence[Quantity] = (), *, baseline: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """Numbers of whole walks, such as order and straightness, of every setting and model."""
    made = report(runs, baseline=baseline)
    return made.walks(chosen or offered_steps(made.steps, whole=True), theme)


def film(
    runs: Runs = LATEST,
    setting: Mapping[str, Any] | None = None,
    sample: int | None = None,
    *,
    baseline: str | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """One seed's way from noise to a sample in each model, at first the first seed that was kept."""
    made = report(runs, baseline=baseline)
    of = _looked_at(made.filmed, setting)
    return made.film(of, int(of_setting(made.filmed, of)["sample"].min()) if sample is None else sample, theme)


def flow_or_diffusion(
    runs: Runs = LATEST, metric: str = "", *, baseline: str | None = None, theme: Theme = "light"
) -> go.Figure:
    """How straight the models' paths are, where they bend, and what that is worth. DataError where it isn't known."""
    made = report(runs, baseline=baseline)
    return made.flow_or_diffusion(metric or next(iter(metric_names(made.tables)), ""), theme)


def history(
    runs: One | Sequence[One],
    metric: str = "denoising_error",
    *,
    model: str = "",
    sigma: tuple[float, float] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """A metric over runs, oldest first, and where it changed for sure. sigma: the levels from .. to, of the error."""
    return _history.history(follow(_found(runs), metric, model, sigma), theme)


def _found(runs: One | Sequence[One]) -> list[Run]:
    store = Store(os.environ.get("SIGMASCOPE_RUNS") or "runs")
    every = [runs] if isinstance(runs, Run | str | Path) else runs
    return [one if not isinstance(one, str | Path) else store.find(str(one)) for one in every]


def _pair(made: Report) -> list[str]:
    worst_of = worst_pair(made)
    if worst_of is None:
        raise ConfigError(f"expected a model to compare {made.tables.baseline} with, got none; name two models")
    return [worst_of.baseline, worst_of.candidate]


def _model(made: Report, name: str) -> str:
    pair = worst_pair(made)
    chosen = name or (pair.candidate if pair else made.tables.baseline)
    if chosen not in made.tables.labels:
        raise ConfigError(f"model: expected one of {', '.join(made.tables.labels)}, got {chosen!r}")
    return chosen


def _setting(made: Report, named: Mapping[str, Any] | None) -> dict[str, Any]:
    chosen = dict(named) if named else dearest_setting(made)
    if chosen is None:
        raise ConfigError("expected kept images of some sampler setting, got none")
    if not {"sampler", "steps", "grid"} <= chosen.keys():
        raise ConfigError(f"setting: expected sampler, steps and grid, got {sorted(chosen)}")
    return chosen


def _looked_at(rows: pd.DataFrame, named: Mapping[str, Any] | None) -> dict[str, Any]:
    if rows.empty:
        raise ConfigError("expected a run whose samplers were looked at step by step, got none")
    return dict(named) if named else finest(rows)


def _unknown(made: Report, curve: Curve) -> ConfigError:
    known = ", ".join(one.title for one in offered(made.tables)) or "none"
    return ConfigError(f"curve: expected one of {known}, got {curve.title}")
