"""From runs to the tidy frames that figures, pages and documents show: `collect` joins runs, the rest are pure functions.

runs -> collect -> Tables -> compare.py (what differs) -> noise_levels / samplers / parameterizations / overview -> figures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ..errors import ConfigError
from ..metrics.units import Unit, error_unit_factor

if TYPE_CHECKING:
    from ..evals.store import Run
    from .compare import Comparison

_FORM = re.compile(r"(?P<unit>x0|eps|v|flow|F)(\(sigma_data=(?P<sigma_data>[0-9.e+-]+)\))?")


@dataclass(frozen=True)
class Tables:
    """Everything a report is made of, from one run or several, each model under one label.

    models: a row per model: label, run, and what its record says
    levels, evaluations, samples, metrics: the runs' tables, `model` being the label
    """

    baseline: str
    models: pd.DataFrame
    levels: pd.DataFrame
    evaluations: pd.DataFrame
    samples: pd.DataFrame
    metrics: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """Models in the order of the runs' lists: the order of colours, legends and rows."""
        return list(self.models["label"])


def collect(runs: Sequence[Run], baseline: str | None = None) -> Tables:
    """Join runs into one set of tables. A model whose name is in several runs is called "name @ run".

    The baseline is the one asked for, else the first run's own. ConfigError where no model has that label.
    """
    if not runs:
        raise ConfigError("expected at least one run, got none")
    labels = _labels(runs)
    models = pd.DataFrame(
        [
            {"label": labels[run.id, model.name], "run": run.id, **_model_row(model)}
            for run in runs
            for model in run.record.models
        ]
    )
    chosen = baseline or labels.get(
        (runs[0].id, runs[0].record.baseline), labels[runs[0].id, runs[0].record.models[0].name]
    )
    if chosen not in set(models["label"]):
        raise ConfigError(f"unknown baseline {chosen!r}; expected one of: {', '.join(models['label'])}")
    joined = {name: _join(runs, labels, name) for name in ("levels", "evaluations", "samples", "metrics")}
    return Tables(chosen, models, **joined)


def noise_levels(
    tables: Tables, comparisons: Sequence[Comparison], unit: Unit = "x0", sigma_data: float = 0.5
) -> pd.DataFrame:
    """A row per model x level: the error in `unit` with its interval, and its ratio to the baseline's error.

    Columns: model, level, sigma, log_snr, time, error, low, high, ratio, ratio_low, ratio_high (simultaneous over the
    levels), verdict. The ratio is the same in every unit; it is NaN where a model could not be compared.
    """
    frame = tables.levels.copy()
    factor = error_unit_factor(frame["sigma"].to_numpy(float), unit, sigma_data)
    for column in ("error", "low", "high"):
        frame[column] = frame[column] * factor
    ratios = [_ratios(comparison) for comparison in comparisons]
    columns = ["model", "level", "ratio", "ratio_low", "ratio_high", "verdict"]
    joined = pd.concat(ratios, ignore_index=True) if ratios else pd.DataFrame(columns=columns)
    frame = frame.merge(joined.astype({"model": frame["model"].dtype}), on=["model", "level"], how="left")
    frame.loc[frame["model"] == tables.baseline, "ratio"] = 1.0
    return _in_order(frame, tables.labels, ["sigma"])


def samplers(tables: Tables, metric: str) -> pd.DataFrame:
    """A row per model x sampler x steps x grid for one metric, `front` marking the points no other one dominates.

    A point dominates another when it needs no more network evaluations and scores no worse, and is better in one of them.
    """
    frame = tables.metrics[tables.metrics["metric"] == metric].dropna(subset=["value"]).copy()
    sign = -1.0 if better(metric) == "higher" else 1.0
    frame["front"] = pareto(frame["evaluations"].to_numpy(float), sign * frame["value"].to_numpy(float))
    return _in_order(frame, tables.labels, ["sampler", "grid", "evaluations"])


def pareto(cost: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Which of n points (cost, loss), less being better in both, are dominated by none. Shapes (n,) -> bool (n,)."""
    no_worse = (cost[None, :] <= cost[:, None]) & (loss[None, :] <= loss[:, None])
    strictly = (cost[None, :] < cost[:, None]) | (loss[None, :] < loss[:, None])
    return ~(no_worse & strictly).any(axis=1)


def parameterizations(tables: Tables) -> pd.DataFrame:
    """A row per model x level: root-mean-square error of the raw output, and what it becomes in the image and in the noise.

    With g the gain from an error of the output to one of x0, raw = sqrt(E_x0)/g, x0 = g·raw and eps = (g/sigma)·raw
    (science of the gains: eps (s, 1), x0 (1, 1/s), v (b, a), flow (t, 1-t)). Columns: model, parameterization, level,
    sigma, log_snr, time, raw, gain_x0, gain_eps, x0, eps. Models of an unknown parameterization are left out.
    """
    forms = dict(zip(tables.models["label"], tables.models["parameterization"], strict=True))
    known = {label: match for label, form in forms.items() if (match := _FORM.fullmatch(form))}
    frame = tables.levels[tables.levels["model"].isin(known)].copy()
    frame["parameterization"] = frame["model"].map(forms)
    sigma = frame["sigma"].to_numpy(float)
    factor = np.ones(len(frame))
    for label, form in known.items():
        rows = (frame["model"] == label).to_numpy()
        factor[rows] = error_unit_factor(sigma[rows], cast(Unit, form["unit"]), float(form["sigma_data"] or 0.5))
    frame["x0"] = np.sqrt(frame["error"].to_numpy(float))
    frame["gain_x0"] = 1 / np.sqrt(factor)
    frame["gain_eps"] = frame["gain_x0"] / sigma
    frame["raw"] = frame["x0"] / frame["gain_x0"]
    frame["eps"] = frame["gain_eps"] * frame["raw"]
    columns = ["parameterization", "level", "sigma", "log_snr", "time", "raw", "gain_x0", "gain_eps", "x0", "eps"]
    return _in_order(frame[["model", *columns]], tables.labels, ["sigma"])


def overview(tables: Tables, comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """The leaderboard, a row per model x measure: the worst noise level against the baseline, and each metric's best cell.

    Columns: model, measure, better ("lower", "higher" or ""), value, low, high, where (the level or the sampler it comes from).
    """
    rows: list[dict[str, Any]] = [
        {"model": tables.baseline, "measure": WORST_LEVEL, "better": "lower", "value": 1.0, "where": "the baseline"}
    ]
    for comparison in comparisons:
        worst = comparison.levels.loc[comparison.levels["ratio"].idxmax()]
        rows.append(
            {
                "model": comparison.candidate, "measure": WORST_LEVEL, "better": "lower", "value": worst["ratio"],
                "low": worst["band_low"], "high": worst["band_high"], "where": f"sigma {worst['sigma']:.2g}",
            }
        )  # fmt: skip
    for metric in metric_names(tables):
        scored = samplers(tables, metric)
        for model, cells in scored.groupby("model", observed=True):
            best = cells.loc[cells["value"].idxmax() if better(metric) == "higher" else cells["value"].idxmin()]
            rows.append(
                {
                    "model": model, "measure": metric, "better": better(metric), "value": best["value"],
                    "low": best["low"], "high": best["high"], "where": cell_title(best),
                }
            )  # fmt: skip
    columns = ["model", "measure", "better", "value", "low", "high", "where"]
    frame = pd.DataFrame(rows, columns=columns).astype({"value": float, "low": float, "high": float})
    return _in_order(frame, tables.labels, [])


WORST_LEVEL = "denoising error, worst level"

_LOWER = ("frechet", "fréchet", "fid", "fd", "kid", "kernel", "mmd", "lpips", "mse", "error", "wasserstein", "memoris")
_HIGHER = (
    "inception_score",
    "precision",
    "recall",
    "density",
    "coverage",
    "clip",
    "accuracy",
    "agreement",
    "psnr",
    "ssim",
    "vendi",
)


def better(metric: str) -> str:
    """ "lower", "higher", or "" where the name does not tell."""
    name = metric.lower().replace(" ", "_")
    if any(part in name for part in _HIGHER):
        return "higher"
    return "lower" if any(part in name for part in _LOWER) else ""


def metric_names(tables: Tables) -> list[str]:
    """The metrics that have a value, in the order of the runs."""
    return list(dict.fromkeys(tables.metrics.dropna(subset=["value"])["metric"]))


def cell_title(row: pd.Series[Any]) -> str:
    """How a sampler cell is named: "heun, 10 steps (karras)"."""
    grid = f" ({row['grid']})" if row["grid"] else ""
    return f"{row['sampler']}, {row['steps']} steps{grid}"


def _labels(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    counts = Counter(model.name for run in runs for model in run.record.models)
    return {
        (run.id, model.name): model.name if counts[model.name] == 1 else f"{model.name} @ {run.id}"
        for run in runs
        for model in run.record.models
    }


def _model_row(model: Any) -> dict[str, Any]:
    fields = (
        "name",
        "parameterization",
        "schedule",
        "parameters",
        "sigma_min",
        "sigma_max",
        "event_shape",
        "data_range",
        "fingerprint",
    )
    return {field: getattr(model, field) for field in fields}


def _join(runs: Sequence[Run], labels: dict[tuple[str, str], str], name: str) -> pd.DataFrame:
    frames = []
    for run in runs:
        frame = run.table(name)
        frames.append(frame.assign(model=[labels.get((run.id, model), model) for model in frame["model"]]))
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def _ratios(comparison: Comparison) -> pd.DataFrame:
    frame = comparison.levels[["level", "ratio", "band_low", "band_high", "verdict"]]
    return frame.rename(columns={"band_low": "ratio_low", "band_high": "ratio_high"}).assign(model=comparison.candidate)


def _in_order(frame: pd.DataFrame, labels: Sequence[str], then: Sequence[str]) -> pd.DataFrame:
    rank = {label: position for position, label in enumerate(labels)}
    ordered = frame.assign(_rank=frame["model"].map(rank)).sort_values(["_rank", *then], kind="stable")
    return ordered.drop(columns="_rank").reset_index(drop=True)
