"""What a run says of itself: `run.json`, versioned, read for good.

Readers accept every schema version ever released and refuse a newer one by name. Fields are only ever added.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1

TABLES: dict[str, tuple[str, ...]] = {
    "levels": (
        "model", "level", "sigma", "log_snr", "time", "error", "low", "high", "images", "draws",
    ),
    "evaluations": (
        "model", "level", "sigma", "image", "label", "draw", "error",
    ),
    "curves": (
        "model", "probe", "quantity", "slice", "level", "sigma", "value", "low", "high", "error", "freedom",
        "optimal", "images",
    ),
    "worst": (
        "model", "level", "sigma", "rank", "image", "label", "draw", "error", "tile",
    ),
    "losses": (
        "model", "candidate", "level", "sigma", "rank", "image", "label", "draw", "error", "tile",
    ),
    "samples": (
        "model", "sampler", "steps", "grid", "guidance", "sample", "label", "evaluations", "clipped", "tile",
        "nearest", "nearest_distance", "nearest_ratio", "nearest_heldout", "nearest_tile",
    ),
    "steps": (
        "model", "sampler", "steps", "grid", "guidance", "probe", "quantity", "slice", "index", "sigma", "sigma_next",
        "value", "low", "high", "error", "freedom", "optimal", "samples",
    ),
    "metrics": (
        "model", "sampler", "steps", "grid", "guidance", "evaluations", "metric", "value", "low", "high", "n",
        "protocol", "fingerprint",
    ),
    "film": (
        "model", "sampler", "steps", "grid", "guidance", "sample", "index", "sigma", "picture", "tile",
    ),
}  # fmt: skip
"""Columns of a run's Parquet tables (those of `evaluations` may be followed by more), one row each of:

- levels: one model at one noise level: denoising error with its 95% interval, mean square per dimension in x0 units
- evaluations: one network evaluation: one image, level and noise draw, with its denoising error; then a column
  PROBE.COLUMN for each number of each probe that ran, NaN where it wasn't asked
- curves: one quantity of one probe at one level: value, 95% interval, standard error with its degrees of freedom, and
  what a perfect denoiser gives (NaN where that depends on the data); `slice` is the part of the images it looks at
- worst: the images with the largest errors at a level, rank 0 the worst, and the first ones of the data, which every
  model keeps; `tile` is the first of its four in the cell's
  sheet: noisy input, prediction, truth, error
- losses: the images that a candidate gets worse than the run's baseline by most, at a level, as in `worst`: a row for
  the answer of each of the two. `tile` is in the sheet of the candidate's cell
- samples: one generated sample; `clipped` is its share of values out of range, `tile` its place in the sheet. Where it
  is kept and the suite names training images, `nearest` is the number of the nearest one, `nearest_tile` the place of
  that one's picture; in pixels, `nearest_distance` is the root mean square difference, 1 being from black to white,
  `nearest_ratio` that over the mean distance of the 50 nearest, and `nearest_heldout` the share of held-out images with
  a smaller ratio. Else they are -1 and NaN
- steps: one quantity of one trajectory probe over one interval of a sampler's grid, from `sigma` to `sigma_next`, or
  over the whole walk (index -1, no sigmas); otherwise as in `curves`, with intervals over samples
- metrics: one number about the samples of one setting
- film: one picture of one sample on its way: its `state` or `prediction` at `sigma`, before interval `index`

A setting is a model, sampler, step count, grid and guidance. `guidance` is empty for the model as it was declared, else
the suite's: "2", or "2 at 0.3-5".
"""

SETTING = ("model", "sampler", "steps", "grid", "guidance")

ADDED: dict[str, str | float | int] = {
    "guidance": "",
    "nearest": -1,
    "nearest_distance": math.nan,
    "nearest_ratio": math.nan,
    "nearest_heldout": math.nan,
    "nearest_tile": -1,
}
"""Columns that runs of earlier versions lack, and what stands there."""

PICTURES = ("noisy", "prediction", "truth", "difference")
"""What the four tiles of an entry of table `worst` show, in order."""

Kind = Literal["probe", "sample", "trajectory", "losses"]
Status = Literal["complete", "partial", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ModelRecord(_Record):
    name: str
    spec: str
    parameterization: str
    schedule: str
    sigma_min: float | None
    """None stands for a range that reaches 0."""
    sigma_max: float | None
    """None stands for a range that reaches infinity."""
    parameters: int
    event_shape: tuple[int, ...]
    data_range: tuple[float, float]
    fingerprint: str
    """sha256 of the weights; empty where unknown."""
    data_spread: float | None = None
    """Standard deviation of the data it was probed with, per dimension, around their mean; None where it wasn't."""
    image_shape: tuple[int, ...] = ()
    """Of one decoded sample, where event_shape is that of its latents; empty elsewhere."""
    autoencoder: str = ""
    """Fingerprint of the autoencoder whose latents are denoised, in whose units denoising errors are; or empty."""


class CellRecord(_Record):
    key: str
    """Content hash of everything that decides the cell's result."""
    kind: Kind
    title: str
    model: str
    seconds: float
    evaluations: int
    """Network evaluations, over all images or samples."""
    sampler: str | None = None
    steps: int | None = None
    grid: str | None = None
    guidance: str = ""
    error: str | None = None
    """Why the cell has no result; None when it has."""


class PendingCell(_Record):
    """A cell that is still to be done; fields as in CellRecord."""

    key: str
    kind: Kind
    title: str
    model: str
    evaluations: int
    """Network evaluations it will take, at most."""


class RunRecord(_Record):
    schema_version: int = SCHEMA_VERSION
    id: str
    name: str
    status: Status
    created: str
    """ISO 8601, UTC."""
    seconds: float
    """Spent computing cells, over all sessions."""
    suite: dict[str, Any]
    baseline: str
    """The model the others are compared with."""
    models: list[ModelRecord]
    fingerprint: dict[str, str]
    """What two runs must share to be compared: noise, seed, data, levels, features ..."""
    environment: dict[str, str]
    """What may differ, and is told when it does: versions, device, threads."""
    cells: list[CellRecord]
    """Those done, and those that failed."""
    pending: list[PendingCell] = []
    """Those a run in progress, or an interrupted one, has still to do, in order."""
