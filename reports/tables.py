"""From runs to the tidy frames that figures and documents show: `collect` joins runs, the rest are pure functions.

runs -> collect -> Tables -> compare.py (what differs) -> noise_levels, samplers ... overview -> figures.
"""

from __future__ import annotations

import re
from collections import Counter, namedtuple
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ..errors import ConfigError
from ..evals.headlines import WORST_LEVEL as WORST_LEVEL
from ..metrics.directions import better as better
from ..metrics.units import Unit, error_unit_factor

if TYPE_CHECKING:
    from ..evals.records import ModelRecord
    from ..evals.store import Run
    from .compare import Comparison

_FORM = re.compile(r"(?P<unit>x0|eps|v|flow|F)(\(sigma_data=(?P<sigma_data>[0-9.e+-]+)\))?")

JOINED = ("levels", "evaluations", "samples", "metrics", "curves")


@dataclass(frozen=True)
class Tables:
    """Everything a report is made of, from one run or several, each model under one label.

    models: a row per model: label, run, source (position of the run), and what its record says
    levels, evaluations, samples, metrics, curves: the runs' tables, `model` being the label
    """

    baseline: str
    models: pd.DataFrame
    levels: pd.DataFrame
    evaluations: pd.DataFrame
    samples: pd.DataFrame
    metrics: pd.DataFrame
    curves: pd.DataFrame

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
            {"label": label, "run": runs[source].id, "source": source, **_model(runs[source], name).model_dump()}
            for (source, name), label in labels.items()
        ]
    )
    chosen = _known(models, baseline or labels.get((0, runs[0].record.baseline)) or next(iter(labels.values())))
    joined = {name: _join(runs, labels, name) for name in JOINED}
    return Tables(chosen, models, **joined)


def rebased(tables: Tables, baseline: str) -> Tables:
    """The same tables with another baseline. ConfigError where no model has that label."""
    return replace(tables, baseline=_known(tables.models, baseline))


def _known(models: pd.DataFrame, baseline: str) -> str:
    if baseline not in set(models["label"]):
        raise ConfigError(f"unknown baseline {baseline!r}; expected one of: {', '.join(models['label'])}")
    return baseline


def noise_levels(
    tables: Tables, comparisons: Sequence[Comparison], unit: Unit = "x0", sigma_data: float = 0.5
) -> pd.DataFrame:
    """A row per model x level: the error in `unit` with its interval, and its ratio to the baseline's error.

    Columns: model, level, sigma, log_snr, time, error, low, high, ratio, ratio_low, ratio_high (simultaneous over the
    levels), verdict, floor. The ratio is the same in every unit; it is NaN where a model could not be compared, and so
    is the floor where it is not known.
    """
    frame = tables.levels.merge(floor(tables), on=["model", "level"], how="left")
    factor = error_unit_factor(frame["sigma"].to_numpy(float), unit, sigma_data)
    for column in ("error", "low", "high", "floor"):
        frame[column] = frame[column] * factor
    ratios = [_ratios(comparison) for comparison in comparisons]
    columns = ["model", "level", "ratio", "ratio_low", "ratio_high", "verdict"]
    joined = pd.concat(ratios, ignore_index=True) if ratios else pd.DataFrame(columns=columns)
    frame = frame.merge(joined.astype({"model": frame["model"].dtype}), on=["model", "level"], how="left")
    frame.loc[frame["model"] == tables.baseline, "ratio"] = 1.0
    return _in_order(frame, tables.labels, ["sigma"])


def floor(tables: Tables) -> pd.DataFrame:
    """The error of the best denoiser known without a network, where probe excess_error ran: model, level, floor.

    The denoising error less its excess: the lesser of the best linear filter's and of the mean over the training images
    given the noisy one. What lies above it is avoidable; the best denoiser lies at it or below.
    """
    curves = tables.curves[["model", "level", "probe", "quantity", "value"]]
    excess = curves[(curves["probe"] == "excess_error") & (curves["quantity"] == "excess")]
    keys = tables.levels[["model", "level"]].dtypes.to_dict()
    joined = tables.levels[["model", "level", "error"]].merge(excess.astype(keys), on=["model", "level"])
    return joined.assign(floor=joined["error"] - joined["value"].astype(float))[["model", "level", "floor"]]


def samplers(tables: Tables, metric: str, model: str = "") -> pd.DataFrame:
    """A row per model x sampler x steps x grid x guidance for one metric, with its place on the Pareto front: that of
    all models, or of one alone.

    `front`: no other setting dominates it, that is, needs no more evaluations and scores no worse, and is better in one
    of the two. `contender`: no setting of no more evaluations is better by more than this one's interval.
    """
    frame = tables.metrics[tables.metrics["metric"] == metric].dropna(subset=["value"])
    frame = frame[frame["model"] == model].copy() if model else frame.copy()
    cost, value, low, high = (frame[name].to_numpy(float) for name in ("evaluations", "value", "low", "high"))
    higher = better(metric) == "higher"
    frame["front"] = pareto(cost, -value if higher else value)
    frame["contender"] = contenders(cost, -value, -high) if higher else contenders(cost, value, low)
    return _in_order(frame, tables.labels, ["sampler", "grid", "guidance", "evaluations"])


def pareto(cost: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Which of n points (cost, loss), less being better in both, are dominated by none. Shapes (n,) -> bool (n,)."""
    no_worse = (cost[None, :] <= cost[:, None]) & (loss[None, :] <= loss[:, None])
    strictly = (cost[None, :] < cost[:, None]) | (loss[None, :] < loss[:, None])
    return np.asarray(~(no_worse & strictly).any(axis=1))


def contenders(cost: np.ndarray, loss: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Which of n points (cost, loss), less being better in both, may be on the front for all that is known.

    A point is out where another of no more cost has a loss below the lower end `low` of its interval; one without an
    interval (NaN) where another has a lower loss. Shapes (n,) -> bool (n,).
    """
    end = np.where(np.isnan(low), loss, low)
    beaten = (cost[None, :] <= cost[:, None]) & (loss[None, :] < end[:, None])
    return np.asarray(~beaten.any(axis=1))


def parameterizations(tables: Tables) -> pd.DataFrame:
    """A row per model x level: root-mean-square error of the raw output, and what becomes of it in image and noise.

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
    """The leaderboard, a row per model x measure: the worst level against the baseline, each metric's best setting.

    Columns: model, measure, better ("lower", "higher" or ""), value, low, high, where (the level or sampler setting).
    """
    rows: list[dict[str, Any]] = []
    if comparisons:
        itself = {"measure": WORST_LEVEL, "better": "lower", "value": 1.0, "where": "the baseline"}
        rows.append({"model": tables.baseline, **itself})
    for comparison in comparisons:
        if comparison.levels.empty:
            continue
        worst = comparison.levels.sort_values("ratio").iloc[-1]
        rows.append(
            {
                "model": comparison.candidate, "measure": WORST_LEVEL, "better": "lower", "value": worst["ratio"],
                "low": worst["band_low"], "high": worst["band_high"], "where": f"sigma {worst['sigma']:.2g}",
            }
        )  # fmt: skip
    for metric in metric_names(tables):
        scored = tables.metrics[tables.metrics["metric"] == metric].dropna(subset=["value"])
        keys = ["value", "sampler", "grid", "guidance", "evaluations"]
        scored = scored.sort_values(keys, ascending=[better(metric) != "higher", *[True] * 4])
        for _, best in scored.drop_duplicates("model").iterrows():
            model = best["model"]
            rows.append(
                {
                    "model": model, "measure": metric, "better": better(metric), "value": best["value"],
                    "low": best["low"], "high": best["high"], "where": cell_title(best),
                }
            )  # fmt: skip
    columns = ["model", "measure", "better", "value", "low", "high", "where"]
    frame = pd.DataFrame(rows, columns=columns).astype({"value": float, "low": float, "high": float})
    return _in_order(frame, tables.labels, [])


def each(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows as named tuples, whose fields the type checker lets pass: `itertuples`, where tables are small and many."""
    return map(_row(tuple(frame.columns))._make, zip(*(frame[name].tolist() for name in frame), strict=True))


@cache
def _row(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


def by(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) for every name in a column, in order of first appearance."""
    return ((str(name), rows) for name, rows in frame.groupby(column, sort=False))


def worst_images(evaluations: pd.DataFrame, baseline: str, candidate: str, level: int, count: int = 12) -> pd.DataFrame:
    """The images whose error at one level the candidate raises most.

    Columns: image, label, baseline, candidate (errors averaged over draws), difference; of images that both saw.
    """
    rows = evaluations[(evaluations["level"] == level) & evaluations["model"].isin([baseline, candidate])]
    means = rows.pivot_table(index=["image", "label"], columns="model", values="error").dropna()
    table = means[[baseline, candidate]].set_axis(["baseline", "candidate"], axis=1).reset_index()
    table["difference"] = table["candidate"] - table["baseline"]
    return table.nlargest(count, "difference").reset_index(drop=True)


def metric_names(tables: Tables) -> list[str]:
    """The metrics that have a value, in the order of the runs."""
    return list(dict.fromkeys(tables.metrics.dropna(subset=["value"])["metric"]))


def sample_settings(tables: Tables, every: bool = False) -> pd.DataFrame:
    """The sampler settings that kept images, by name and cost: sampler, steps, grid, guidance, evaluations.

    Of each sampler only the one of most network evaluations, or `every` one.
    """
    kept = tables.samples[tables.samples["tile"] >= 0].sort_values(
        ["sampler", "evaluations", "grid", "guidance"], kind="stable"
    )
    columns = ["sampler", "steps", "grid", "guidance"] if every else ["sampler"]
    settings = kept.drop_duplicates(columns, keep="last")
    return settings[["sampler", "steps", "grid", "guidance", "evaluations"]].reset_index(drop=True)


def cell_title(row: Mapping[Any, Any] | pd.Series[Any]) -> str:
    """How a sampler cell is named: "heun, 10 steps (karras)", "heun, 10 steps (karras), guidance 2"."""
    grid = f" ({row['grid']})" if row["grid"] else ""
    guidance = f", guidance {row['guidance']}" if row["guidance"] else ""
    return f"{row['sampler']}, {row['steps']} steps{grid}{guidance}"


def cell_titles(table: pd.DataFrame) -> list[str]:
    """Of each row."""
    return [cell_title(row) for row in table.to_dict("records")]


def _labels(runs: Sequence[Run]) -> dict[tuple[int, str], str]:
    """(position of the run, model) -> label: the name, with the run's id where several runs have it, always unique."""
    counts = Counter(model.name for run in runs for model in run.record.models)
    labels: dict[tuple[int, str], str] = {}
    for source, run in enumerate(runs):
        for model in run.record.models:
            label = model.name if counts[model.name] == 1 else f"{model.name} @ {run.id}"
            again = sum(one == label or one.startswith(f"{label} (") for one in labels.values())
            labels[source, model.name] = f"{label} ({again + 1})" if again else label
    return labels


def _model(run: Run, name: str) -> ModelRecord:
    return next(model for model in run.record.models if model.name == name)


def _join(runs: Sequence[Run], labels: dict[tuple[int, str], str], name: str) -> pd.DataFrame:
    frames = []
    for source, run in enumerate(runs):
        frame = run.table(name)
        if any(label != model for (at, model), label in labels.items() if at == source):  # thousands of rows
            frame = frame.assign(model=[labels.get((source, model), model) for model in frame["model"]])
        frames.append(frame)
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def _ratios(comparison: Comparison) -> pd.DataFrame:
    frame = comparison.levels[["level", "ratio", "band_low", "band_high", "verdict"]]
    return frame.rename(columns={"band_low": "ratio_low", "band_high": "ratio_high"}).assign(model=comparison.candidate)


def _in_order(frame: pd.DataFrame, labels: Sequence[str], then: Sequence[str]) -> pd.DataFrame:
    rank = {label: position for position, label in enumerate(labels)}
    keys = frame[list(then)].assign(_rank=frame["model"].map(rank)).reset_index(drop=True)
    order = keys.sort_values(["_rank", *then], kind="stable").index
    return frame.iloc[order].reset_index(drop=True)
