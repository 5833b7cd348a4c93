"""Plausible runs without a network: four models, 24 levels, four samplers; one model planted 34% worse in a band."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sigmascope.evals.records import ADDED, TABLES, CellRecord, ModelRecord, RunRecord
from sigmascope.evals.store import CellResult, Writer

MODELS = {"digits-eps": "eps", "digits-v": "v", "digits-flow": "flow", "digits-regressed": "eps"}
SIGMAS = np.geomspace(0.02, 40.0, 24)
PLANTED, PLANTED_BAND = 1.34, (0.28, 1.2)


def planted_levels() -> np.ndarray:
    low, high = PLANTED_BAND
    return (low <= SIGMAS) & (high >= SIGMAS)


def evaluations(images: int = 64, draws: int = 2, seed: int = 0, models: dict[str, str] = MODELS) -> pd.DataFrame:
    """Errors whose images and noise are shared by all models, with 3% of each model's own."""
    rng = np.random.default_rng(seed)
    optimal = 0.3 * SIGMAS**2 / (0.3 + SIGMAS**2) * 0.6
    shared = np.exp(0.5 * rng.standard_normal((images, 1, 1)) + 0.3 * rng.standard_normal((images, len(SIGMAS), draws)))
    image, level, draw = (index.ravel() for index in np.indices((images, len(SIGMAS), draws)))
    frames = []
    for name, form in models.items():
        tilt = {"eps": 0.0, "v": -0.004, "flow": 0.006}[form] * np.log(SIGMAS)
        factor = np.exp(tilt) * np.where(planted_levels() & ("regressed" in name), PLANTED, 1.0)
        own = np.exp(0.03 * rng.standard_normal(shared.shape) - 0.03**2 / 2)
        error = shared * own * (optimal * factor)[None, :, None]
        frames.append(
            pd.DataFrame(
                {
                    "model": name, "level": level, "sigma": SIGMAS[level], "image": image, "label": image % 10,
                    "draw": draw, "error": error.ravel(),
                }
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """What probes would tell of the same evaluations: a slope that is off where the fault is planted, two bands of
    frequencies, the error beside the best reference, and the error of each class."""
    rows = []
    for (model, level, sigma), group in frame.groupby(["model", "level", "sigma"], sort=False):
        off = planted_levels()[level] and "regressed" in str(model)
        error = group["error"].mean()
        quantities = [
            ("calibration", "slope", "all", 1.2 if off else 1.0, 1.0),
            ("calibration", "gain", "all", 0.3 if off else 0.0, 0.0),
            ("spectrum", "over_wiener", "frequency 0-0.25", 0.8, np.nan),
            ("spectrum", "over_wiener", "frequency 0.25 and up", 1.3 if off else 0.9, np.nan),
            ("excess_error", "excess", "all", error - 0.3 * sigma**2 / (0.3 + sigma**2), np.nan),
            ("raw_output", "raw", "all", error / sigma**2, np.nan),
            ("precision", "network_share", "all", 1e-4 * (1 + sigma), 0.0),
        ]
        quantities += [
            ("denoising_error", "error", f"class {label}", part["error"].mean(), np.nan)
            for label, part in group.groupby("label")
        ]
        rows += [
            {
                "model": model, "probe": probe, "quantity": quantity, "slice": part, "level": level, "sigma": sigma,
                "value": value, "low": value - 0.01 * abs(value) - 1e-6, "high": value + 0.01 * abs(value) + 1e-6,
                "error": 0.005 * abs(value) + 5e-7, "freedom": 63.0, "optimal": optimal, "images": 64,
            }
            for probe, quantity, part, value, optimal in quantities
        ]  # fmt: skip
    return pd.DataFrame(rows)


def worst(frame: pd.DataFrame, count: int = 2) -> pd.DataFrame:
    """The largest errors of each model and level; tiles are numbered within a model."""
    ranked = frame.sort_values(["model", "level", "error"], ascending=[True, True, False])
    kept = ranked.groupby(["model", "level"]).head(count).copy()
    kept["rank"] = kept.groupby(["model", "level"]).cumcount()
    kept["tile"] = 4 * kept.groupby("model").cumcount()
    return kept[list(TABLES["worst"])]


def levels(frame: pd.DataFrame) -> pd.DataFrame:
    """The per-level table that belongs to evaluations; the intervals are normal ones over images."""
    rows = []
    for (model, level, sigma), group in frame.groupby(["model", "level", "sigma"], sort=False):
        per_image = group.groupby("image")["error"].mean()
        half = 1.96 * per_image.std() / np.sqrt(len(per_image))
        mean = per_image.mean()
        rows.append(
            {
                "model": model, "level": level, "sigma": sigma, "log_snr": -2 * np.log(sigma),
                "time": sigma / (1 + sigma), "error": mean, "low": mean - half, "high": mean + half,
                "images": len(per_image), "draws": 2,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def metrics(models: dict[str, str] = MODELS, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    order = {"euler": 1.0, "heun": 2.0, "ddim": 1.0, "dpmpp_2m": 1.7}
    rows = []
    for position, name in enumerate(models):
        for sampler, power in order.items():
            for steps in (5, 10, 20, 40):
                spent = 2 * steps - 1 if sampler == "heun" else steps
                floor = 0.38 + 0.05 * position + 0.4 * ("regressed" in name)
                value = floor + 12 * spent**-power * (3.0 if sampler == "heun" else 1.0) + 0.01 * rng.random()
                agree = 0.98 - 0.9 / spent - 0.04 * ("regressed" in name)
                cell = {
                    "model": name,
                    "sampler": sampler,
                    "steps": steps,
                    "grid": "karras",
                    "guidance": "",
                    "evaluations": spent,
                    "n": 500,
                }
                common = {"protocol": "digits network, 500 samples against 898 images", "fingerprint": "c0ffee"}
                rows.append(
                    {
                        **cell,
                        "metric": "Fréchet distance (digits)",
                        "value": value,
                        "low": 0.93 * value,
                        "high": 1.07 * value,
                        **common,
                    }
                )
                rows.append(
                    {
                        **cell,
                        "metric": "class agreement",
                        "value": agree,
                        "low": agree - 0.015,
                        "high": agree + 0.015,
                        **common,
                    }
                )
    return pd.DataFrame(rows)


NO_NEIGHBOURS = {name: ADDED[name] for name in TABLES["samples"] if name.startswith("nearest")}


def samples(frame: pd.DataFrame, kept: int = 12) -> pd.DataFrame:
    cells = frame.drop_duplicates(["model", "sampler", "steps", "grid"])
    columns = ["model", "sampler", "steps", "grid", "guidance"]
    return pd.concat(
        [
            cells[[*columns, "evaluations"]].assign(
                sample=index,
                label=index % 10,
                clipped=(7 * index % kept) / 100,
                tile=index if index < kept else -1,
                **NO_NEIGHBOURS,
            )
            for index in range(kept)
        ],
        ignore_index=True,
    )


def record(models: dict[str, str], run_id: str, cells: list[CellRecord]) -> RunRecord:
    described = [
        ModelRecord(
            name=name, spec=f"python:{name}", parameterization=form, schedule="VP(cosine)", sigma_min=0.01,
            sigma_max=80.0, parameters=700_000, event_shape=(1, 8, 8), data_range=(-1.0, 1.0), fingerprint="0" * 64,
        )
        for name, form in models.items()
    ]  # fmt: skip
    return RunRecord(
        id=run_id, name="digits", status="complete", created="2026-01-01T00:00:00Z", seconds=61.0, suite={},
        baseline=next(iter(models)), models=described, cells=cells,
        fingerprint={"data": "digits", "noise": "philox4x32-10", "seed": "0"},
        environment={"torch": "2.13.0", "device": "cpu"},
    )  # fmt: skip


def cells(scores: pd.DataFrame) -> list[CellRecord]:
    """A sampling cell for every model x sampler x steps of a metrics table."""
    unique = scores.drop_duplicates(["model", "sampler", "steps", "grid"])
    return [
        CellRecord(
            key=f"cell{index:03d}", kind="sample", title=f"{row.sampler}, {row.steps} steps", model=row.model,
            seconds=1.0, evaluations=500 * row.evaluations, sampler=row.sampler, steps=row.steps, grid=row.grid,
        )
        for index, row in enumerate(unique.itertuples())
    ]  # fmt: skip


def digits(labels: np.ndarray, seed: int) -> np.ndarray:
    """Something that differs by class: a bright row and column in noise. (N,) -> (N, 8, 8, 1) uint8."""
    images = np.random.default_rng(seed).integers(0, 90, (len(labels), 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        image[label % 8], image[:, label // 2] = 230, 200
    return images.astype(np.uint8)


def _pictures(rows: pd.DataFrame) -> np.ndarray:
    """Four tiles for each entry of one model's table `worst`, in the order of its tiles."""
    return digits(np.repeat(rows.sort_values("tile")["label"].to_numpy(), 4), 0)


@dataclass
class SyntheticRun:
    """What the reader of a stored run offers, from memory."""

    id: str
    record: RunRecord
    tables: dict[str, pd.DataFrame]

    def table(self, name: str) -> pd.DataFrame:
        return self.tables.get(name, pd.DataFrame(columns=list(TABLES[name])))

    def images(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        rows = self.tables["samples"]
        chosen = (
            (rows["model"] == model) & (rows["sampler"] == sampler) & (rows["steps"] == steps) & (rows["tile"] >= 0)
        )
        kept = rows[chosen & (rows["grid"] == grid) & (rows["guidance"] == guidance)].sort_values("sample")
        return dict(zip(kept["sample"], digits(kept["label"].to_numpy(), steps), strict=True))

    def neighbours(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        return {}

    def worst(self, model: str) -> dict[int, np.ndarray]:
        rows = self.table("worst")
        shown = _pictures(rows[rows["model"] == model])
        return dict(enumerate(shown))


def run(models: dict[str, str] = MODELS, run_id: str = "digits-0a1b2c3d", seed: int = 0) -> SyntheticRun:
    """One complete run of `models` (name -> parameterization); the first is its baseline."""
    errors, scores = evaluations(models=models, seed=seed), metrics(models)
    tables = {"levels": levels(errors), "evaluations": errors, "samples": samples(scores), "metrics": scores}
    tables |= {"curves": curves(errors), "worst": worst(errors)}
    return SyntheticRun(run_id, record(models, run_id, cells(scores)), tables)


def write(run: SyntheticRun, root: Path) -> Path:
    """The same run as a directory of a store."""
    with Writer(root, run.id) as writer:
        return _written(run, writer)


def _written(run: SyntheticRun, writer: Writer) -> Path:
    for cell in run.record.cells:
        own = {name: run.tables[name] for name in ("samples", "metrics")}
        chosen = {name: table[_belongs(table, cell)] for name, table in own.items()}
        kept = chosen["samples"].query("tile >= 0").sort_values("tile")
        writer.write_cell(CellResult(cell, chosen, digits(kept["label"].to_numpy(), cell.steps or 0)))
    probes = []
    for model in run.record.models:
        cell = CellRecord(
            key=f"probe-{len(probes)}",
            kind="probe",
            title="denoising error",
            model=model.name,
            seconds=1.0,
            evaluations=3072,
        )
        names = ("levels", "evaluations", "curves", "worst")
        own = {name: run.tables[name][run.tables[name]["model"] == model.name] for name in names}
        writer.write_cell(CellResult(cell, own, _pictures(own["worst"])))
        probes.append(cell)
    complete = run.record.model_copy(update={"cells": [*probes, *run.record.cells]})
    writer.write_record(complete)
    return writer.finish(complete).folder


def _belongs(table: pd.DataFrame, cell: CellRecord) -> pd.Series:
    return (table["model"] == cell.model) & (table["sampler"] == cell.sampler) & (table["steps"] == cell.steps)


def write_partial(run: SyntheticRun, root: Path) -> Path:
    """The run as it lies on disk when it stopped after its first cell and a failing second."""
    name = run.record.models[0].name
    done = CellRecord(key="probe", kind="probe", title="denoising error", model=name, seconds=1.0, evaluations=3072)
    broken = CellRecord(
        key="broken", kind="sample", title="heun, 5 steps", model=name, seconds=0.1, evaluations=0, sampler="heun",
        steps=5, grid="karras", error="expected finite samples, got NaN",
    )  # fmt: skip
    with Writer(root, run.id) as writer:
        writer.write_cell(CellResult(done, {table: run.tables[table] for table in ("levels", "evaluations")}))
        writer.write_record(run.record.model_copy(update={"status": "partial", "cells": [done, broken]}))
        return writer.partial


def write_failed(run: SyntheticRun, root: Path) -> Path:
    """The run as it lies on disk when its first cell failed and nothing else was tried."""
    broken = CellRecord(
        key="broken", kind="probe", title="denoising error", model=run.record.models[0].name, seconds=0.1,
        evaluations=0, error="expected finite predictions, got NaN at sigma 80",
    )  # fmt: skip
    with Writer(root, run.id) as writer:
        writer.write_record(run.record.model_copy(update={"status": "failed", "cells": [broken]}))
        return writer.partial
