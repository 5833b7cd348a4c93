"""What differs between two models: paired at every noise level, merged into bands, and metric by metric.

Tables -> compare / compare_all -> Comparison -> findings.py (sentences), gate.py (verdict), figures (pictures).
Pairs share image, level and draw, hence the noise; intervals are clustered by image (metrics/intervals.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import IncomparableError
from ..metrics.intervals import PairedRatio, paired_log_ratio
from ..metrics.tails import skewness
from .compare_metrics import compare_metrics
from .judged import judged
from .tables import Tables, each
from .unpaired import standard_errors, unpaired_levels

if TYPE_CHECKING:
    from ..evals.store import Run

KEYS = ["image", "level", "draw"]
"""What two models' evaluations are paired by."""


@dataclass(frozen=True)
class Settings:
    """How a comparison is made. `margin` is relative: 0.01 lets the error be 1% higher."""

    margin: float = 0.01
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0
    families: float = 1
    """Among how many tables of tests, such as this one of levels, the FAIL side shares alpha = 1 - confidence."""
    slices: bool = False
    """Whether every class is compared alone as well."""


DEFAULT = Settings()


@dataclass(frozen=True)
class Band:
    """Adjacent noise levels at which a model is surely worse (ratio > 1) or better (ratio < 1) than the baseline.

    ratio is the geometric mean of the levels' ratios, each level weighing the same; low and high are the same means of
    the simultaneous bounds. Those hold for all levels jointly, so the band's interval stays valid although the band was
    chosen by looking at the data.
    """

    model: str
    sigma_low: float
    sigma_high: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """A candidate against a baseline. levels: `compare_levels`; metrics: `compare_metrics`; slices: `compare_slices`,
    empty where they weren't asked for."""

    baseline: str
    candidate: str
    settings: Settings
    levels: pd.DataFrame
    bands: tuple[Band, ...]
    metrics: pd.DataFrame
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Incomparable:
    """A pair that can't be compared, and why."""

    baseline: str
    candidate: str
    reason: str


NO_LEVELS = pd.DataFrame(
    columns=[
        "level", "sigma", "ratio", "low", "high", "band_low", "band_high", "images", "lower", "upper", "error",
        "baseline", "candidate", "candidate_error", "candidate_skewness", "difference_error", "difference_skewness",
        "verdict", "change",
    ]
)  # fmt: skip


def compare(tables: Tables, baseline: str, candidate: str, settings: Settings = DEFAULT) -> Comparison:
    """Compare two models of joined tables. Raises IncomparableError, naming the field, where their protocols differ.

    Where neither was asked at any noise level the comparison has no levels, and its metrics alone.
    """
    asked = tables.evaluations["model"].isin((baseline, candidate)).any()
    levels = _levels(tables, baseline, candidate, settings) if asked else NO_LEVELS
    metrics = compare_metrics(tables.metrics, baseline, candidate)
    slices = compare_slices(tables.evaluations, baseline, candidate, settings) if asked and settings.slices else None
    bands = find_bands(levels, candidate)
    return Comparison(
        baseline, candidate, settings, levels, bands, metrics, pd.DataFrame() if slices is None else slices
    )


def compare_all(
    tables: Tables, runs: Sequence[Run], settings: Settings = DEFAULT
) -> tuple[list[Comparison], list[Incomparable]]:
    """Every model against its reference; pairs that can't be compared are listed with the reason, not dropped."""
    made: list[Comparison] = []
    refused: list[Incomparable] = []
    for candidate, baseline in references(tables).items():
        try:
            require_comparable(_defining(tables, runs, baseline), _defining(tables, runs, candidate))
            made.append(compare(tables, baseline, candidate, settings))
        except IncomparableError as error:
            refused.append(Incomparable(baseline, candidate, str(error)))
    return made, refused


def references(tables: Tables) -> dict[str, str]:
    """What each model is compared with: its namesake in the first run where there is one, else the baseline."""
    first = tables.models[tables.models["source"] == 0]
    namesakes = dict(zip(first["name"], first["label"], strict=True))
    found = {}
    for label, name in zip(tables.models["label"], tables.models["name"], strict=True):
        namesake = namesakes.get(name, label)
        found[label] = tables.baseline if namesake == label else namesake
    return {label: reference for label, reference in found.items() if label not in (reference, tables.baseline)}


def require_comparable(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> None:
    """Two runs' fingerprints must agree in every field. Raises IncomparableError with the fields that don't."""
    differing = differences(baseline, candidate)
    if differing:
        listed = "; ".join(f"{name}: {ours!r} against {theirs!r}" for name, (ours, theirs) in differing.items())
        raise IncomparableError(f"expected equal fingerprints, baseline and candidate differ in {listed}")


def differences(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields of two nested mappings that differ, by dotted name; an absent field counts as None."""
    ours, theirs = _flat(baseline), _flat(candidate)
    names = dict.fromkeys([*ours, *theirs])
    return {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}


def compare_levels(
    evaluations: pd.DataFrame, baseline: str, candidate: str, settings: Settings = DEFAULT
) -> pd.DataFrame:
    """Ratio of the candidate's mean error to the baseline's at every level, paired by (image, level, draw).

    Adaptive passes ask about more images at one level or of one model than another, all from one queue: what both were
    asked is compared.

    evaluations: the `evaluations` table. Returns a row per level: level, sigma, ratio, low, high (this level alone),
    band_low, band_high (all levels at once, max-T), images (compared); lower, upper: the verdict's one-sided bounds of
    the log ratio (all levels at once, this level alone) and error, its standard error; baseline and candidate, mean
    errors, with the standard errors of the candidate's and of their difference and the skewness of both;
    verdict against the margin ("fail": worse for sure, the interval over all levels being above 1, and not shown to be
    within the margin; "pass": shown to be within it; else "inconclusive"); change ("worse" where the verdict is "fail",
    "better" where the interval over all levels is below 1 and the ratio not shown to be within the margin, else
    "same"). So what is called worse or better has an interval, band_low to band_high, that does not hold 1.
    Raises IncomparableError where the two were not measured at the same levels, or at one of them neither on all that
    the other was.
    """
    sigmas, _, ours, theirs = paired_errors(evaluations, baseline, candidate)
    return level_table(sigmas, ours, theirs, settings)


def level_table(
    sigmas: pd.Series,
    ours: np.ndarray,
    theirs: np.ndarray,
    settings: Settings = DEFAULT,
    paired: PairedRatio | None = None,
) -> pd.DataFrame:
    """`compare_levels` of paired errors (images, levels), NaN in both where an image was not asked; sigma by level.

    `paired` holds their bounds where they aren't those of a number of images that was fixed beforehand.
    """
    paired = paired or paired_log_ratio(
        ours, theirs, settings.confidence, settings.resamples, settings.seed, families=settings.families
    )
    images = (~np.isnan(ours)).sum(axis=0)
    table = pd.DataFrame(
        {
            "level": sigmas.index, "sigma": sigmas.to_numpy(), "ratio": paired.ratio, "low": paired.low,
            "high": paired.high, "band_low": paired.band_low, "band_high": paired.band_high, "images": images,
            "lower": paired.lower, "upper": paired.upper, "error": paired.error,
            "baseline": np.nanmean(ours, axis=0), "candidate": np.nanmean(theirs, axis=0),
            "candidate_error": np.nanstd(theirs, axis=0, ddof=1) / np.sqrt(images),
            "candidate_skewness": skewness(theirs),
            "difference_error": np.nanstd(theirs - ours, axis=0, ddof=1) / np.sqrt(images),
            "difference_skewness": skewness(theirs - ours),
        }
    )  # fmt: skip
    return judged(table, settings.margin)


def compare_slices(
    evaluations: pd.DataFrame, baseline: str, candidate: str, settings: Settings = DEFAULT
) -> pd.DataFrame:
    """`compare_levels` for every class of images alone, in column `slice`, the FAIL side over all classes and levels.

    Classes have no image in common, so theirs are independent tests: each has its share of alpha by Šidák (1967), and
    within a class max-T goes over the levels. Unlabelled images are no class; one with fewer than 2 images at a level
    has no rows.
    """
    sigmas, images, ours, theirs = paired_errors(evaluations, baseline, candidate)
    labels = evaluations.drop_duplicates("image").set_index("image")["label"].reindex(images).to_numpy()
    classes = [
        label for label in np.unique(labels[labels >= 0]) if (~np.isnan(ours[labels == label])).sum(axis=0).min() >= 2
    ]
    alpha = (1 - settings.confidence) / settings.families
    share = 1 - (1 - alpha) ** (1 / max(len(classes), 1))
    own = replace(settings, families=(1 - settings.confidence) / share)
    frames = [
        level_table(sigmas, ours[labels == label], theirs[labels == label], own).assign(slice=label)
        for label in classes
    ]
    return pd.concat(frames, ignore_index=True) if frames else NO_LEVELS.assign(slice=[])


def paired_errors(
    evaluations: pd.DataFrame, baseline: str, candidate: str
) -> tuple[pd.Series, pd.Index, np.ndarray, np.ndarray]:
    """Sigma by level, image ids, and both models' errors (images, levels) on what both were asked, NaN elsewhere.

    Raises IncomparableError as `compare_levels` does.
    """
    ours, theirs = (_errors(evaluations, model) for model in (baseline, candidate))
    _require_same_levels(ours, theirs)
    if not all(np.array_equal(ours[key], theirs[key]) for key in KEYS):
        ours, theirs = (frame.set_index(KEYS).sort_index() for frame in (ours, theirs))
        shared = ours.index.intersection(theirs.index).sort_values()
        _require_nested(ours, theirs, shared, baseline, candidate)
        ours, theirs = (frame.loc[shared].reset_index() for frame in (ours, theirs))
    return (
        ours.groupby("level")["sigma"].first(),
        pd.Index(np.unique(ours["image"])),
        _by_image(ours),
        _by_image(theirs),
    )


def find_bands(levels: pd.DataFrame, model: str) -> tuple[Band, ...]:
    """Merge adjacent levels of one `change`, "worse" or "better". Worst band first, best last."""
    ordered = levels.sort_values("sigma", kind="stable")
    bands = []
    for _, group in ordered.groupby((ordered["change"] != ordered["change"].shift()).cumsum()):
        if group["change"].iloc[0] == "same":
            continue
        ratio, low, high = (math.exp(np.log(group[name]).mean()) for name in ("ratio", "band_low", "band_high"))
        bands.append(Band(model, group["sigma"].min(), group["sigma"].max(), ratio, low, high))
    return tuple(sorted(bands, key=lambda band: -band.ratio))


def _defining(tables: Tables, runs: Sequence[Run], label: str) -> dict[str, Any]:
    """What a model's results are conditional on: its run's fingerprint and its own space of images."""
    model = next(model for model in each(tables.models) if model.label == label)
    fingerprint = runs[model.source].record.fingerprint
    space = {"event_shape": model.event_shape, "data_range": model.data_range, "autoencoder": model.autoencoder}
    return {**fingerprint, **space}


def _levels(tables: Tables, baseline: str, candidate: str, settings: Settings) -> pd.DataFrame:
    """Paired, or unpaired where of the baseline only means and their standard errors are at hand."""
    means = tables.levels[tables.levels["model"] == baseline]
    if (tables.evaluations["model"] == baseline).any() or means.empty or "standard_error" not in means:
        return compare_levels(tables.evaluations, baseline, candidate, settings)
    asked = tables.evaluations[tables.evaluations["model"] == candidate]
    return unpaired_levels(means, standard_errors(asked), settings)


def _errors(evaluations: pd.DataFrame, model: str) -> pd.DataFrame:
    rows = evaluations.loc[evaluations["model"] == model, [*KEYS, "sigma", "error"]]
    if rows.empty:
        raise IncomparableError(f"evaluations: expected some of {model!r}, got none")
    return rows


def _require_same_levels(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    grids = [frame.groupby("level")["sigma"].first() for frame in (ours, theirs)]
    same = grids[0].index.equals(grids[1].index) and np.allclose(grids[0], grids[1], rtol=1e-9, atol=0)
    if not same:
        described = [f"{len(grid)} levels, sigma {grid.min():.4g} to {grid.max():.4g}" for grid in grids]
        raise IncomparableError(f"sigma grid: expected the same levels, got {described[0]} against {described[1]}")


def _require_nested(
    ours: pd.DataFrame, theirs: pd.DataFrame, shared: pd.Index[Any], baseline: str, candidate: str
) -> None:
    """At each level one model was asked all that the other was, of two images at least."""
    rows = [index.get_level_values("level").value_counts() for index in (ours.index, theirs.index, shared)]
    images = shared.to_frame().groupby(level="level")["image"].nunique().reindex(rows[0].index, fill_value=0)
    nested = rows[2].reindex(rows[0].index, fill_value=0) == np.minimum(rows[0], rows[1].reindex(rows[0].index))
    if not (nested & (images >= 2)).all():
        raise IncomparableError(
            f"evaluations: expected the same (image, level, draw) in {baseline!r} and {candidate!r}, or all of one "
            f"among the other's, got {len(ours)} and {len(theirs)} of which {len(shared)} are shared"
        )


def _by_image(errors: pd.DataFrame) -> np.ndarray:
    """Mean over draws, as (images, levels); NaN where an image was not asked."""
    (images, row), (levels, column) = (np.unique(errors[key], return_inverse=True) for key in ("image", "level"))
    place = row * len(levels) + column
    draws = np.bincount(place, minlength=len(images) * len(levels))
    total = np.bincount(place, errors["error"], draws.size)
    with np.errstate(invalid="ignore"):
        return (total / draws).reshape(len(images), len(levels))


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in mapping.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
