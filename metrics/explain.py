"""Why numbers differ: one choice swapped at a time, and how far the number moves for each.

Two sets of images -> explain_sets -> Changes, a baseline first. Two stored results -> explain_results.py. Every row
changes one thing alone, so the rows need not add up; explain_results tells the remainder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import ConfigError
from .evaluate import evaluate
from .features import FeatureOptions
from .features.preprocess import NORMALISATIONS
from .images import Images
from .protocols import TORCH_FIDELITY, Protocol
from .reference import Statistics
from .scores import METRICS, Score

DISTANCE = "frechet_distance"

# Each resize differs from the next in one thing, so the way from one to another tells what each thing is worth.
_RESIZES = ("tf1", "half-pixel", "antialias", "clean")
_BETWEEN = ("pixel centres", "antialias", "bicubic filter")


@dataclass(frozen=True)
class Change:
    """One choice, what it was and what it became; the value then, and how far that is from the value before. NaN where
    it can't be known, and then the note says why."""

    choice: str
    before: str
    after: str
    value: float
    difference: float
    note: str = ""


def explain_sets(
    first: Images,
    second: Images | Statistics,
    protocol: Protocol,
    options: FeatureOptions | None = None,
    device: torch.device | str = "cpu",
    metric: str = DISTANCE,
    other_weights: Path | None = None,
) -> list[Change]:
    """Of a metric of two sets under `protocol`: every other resize, normalisation and precision, other weights if they
    are named, half as many images, the images in reverse order, and what else the metric is made by.

    Raises ConfigError for a metric of pairs or prompts, and as `evaluate` does.
    """
    check_metric(metric)
    options = options or FeatureOptions()

    def measured(images: Images, chosen: Protocol, options: FeatureOptions = options) -> float:
        return evaluate(images, second, [metric], chosen, options, device).scores[0].value

    start = measured(first, protocol)
    changes = [Change("baseline", "", protocol.name, start, 0.0)]

    def swap(choice: str, before: object, after: object, value: float, origin: float = start) -> None:
        changes.append(Change(choice, str(before), str(after), value, value - origin))

    stored = isinstance(second, Statistics)  # of one preprocessing and network for good
    network = METRICS[metric].network or protocol.network
    if network == "inception" and not stored:
        values = {protocol.resize: start}
        for choice, before, after in _resize_steps(protocol.resize):
            values[after] = measured(first, replace(protocol, resize=after))
            swap(choice, before, after, values[after], values[before])
        for name in NORMALISATIONS:
            if name != protocol.normalise:
                swap("normalise", protocol.normalise, name, measured(first, replace(protocol, normalise=name)))
    if not stored:
        lower = replace(protocol, precision="bfloat16")
        swap("precision", protocol.precision, "bfloat16", measured(first, lower))
    if other_weights is not None and not stored:
        value = measured(first, protocol, replace(options, weights=other_weights))
        swap("weights", options.weights or "as found", other_weights, value)
    if metric == "kid":
        other = None if protocol.kid else replace(TORCH_FIDELITY, fit=True)
        swap("subsets", protocol.kid or "all", other or "all", measured(first, replace(protocol, kid=other)))
    if metric == "inception_score" and protocol.inception_score != "guided-diffusion":
        other_convention = replace(protocol, inception_score="guided-diffusion")
        swap("splits", protocol.inception_score, "guided-diffusion", measured(first, other_convention))
    half = first.count // 2
    swap("N", first.count, half, measured(first.first(half), protocol))
    swap("order", "as given", "reversed", measured(backwards(first), protocol))
    return changes


def check_metric(name: str) -> None:
    """Raises ConfigError unless it is a metric of sets of images that takes no prompts."""
    if METRICS[name].prefix is not None:
        raise ConfigError(f"explain: expected a metric without prompts, got {name!r}")


def resize_path(before: str, after: str) -> Iterator[tuple[str, str, str]]:
    """(what differs, from, to) step by step from one resize to another."""
    start, end = _RESIZES.index(before), _RESIZES.index(after)
    step = 1 if end > start else -1
    for index in range(start, end, step):
        yield f"resize: {_BETWEEN[min(index, index + step)]}", _RESIZES[index], _RESIZES[index + step]


def _resize_steps(start: str) -> Iterator[tuple[str, str, str]]:
    """To every other one, outwards from `start`."""
    for end in (_RESIZES[0], _RESIZES[-1]):
        yield from resize_path(start, end)


def backwards(images: Images) -> Images:
    return Images(images.source, images.count, lambda: reversed(list(images.read())))


def stored_score(scores: tuple[Score, ...], title: str) -> Score | None:
    return next((score for score in scores if score.metric == title), None)
