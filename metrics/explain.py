"""Why two numbers differ: one choice swapped at a time, and how far the Fréchet distance moves for each.

Two sets of images, or two results of `sigmascope metrics` -> Changes, a baseline first. Swaps are one at a time from
the baseline, so their differences need not add up; what is left over is told as "together".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from .evaluate import Evaluation, evaluate
from .features import FeatureOptions
from .features.preprocess import NORMALISATIONS, RESIZES
from .images import Images
from .protocols import Protocol

_METRIC = "frechet_distance"


@dataclass(frozen=True)
class Change:
    """One choice, what it was and what it became; value with it, and difference from the baseline's, NaN if unknown."""

    choice: str
    before: str
    after: str
    value: float
    difference: float


def explain_sets(
    first: Images,
    second: Images,
    protocol: Protocol,
    options: FeatureOptions | None = None,
    device: torch.device | str = "cpu",
) -> list[Change]:
    """Of the Fréchet distance between two sets under `protocol`: every other resize, normalisation and precision, half
    as many images, and the images in reverse order, which must change nothing but an unshuffled inception score."""

    def distance(one: Images, chosen: Protocol) -> float:
        return _value(evaluate(one, second, [_METRIC], chosen, options, device))

    start = distance(first, protocol)
    changes = [Change("baseline", "", protocol.name, start, 0.0)]
    swaps: list[tuple[str, str, str, Images, Protocol]] = []
    if protocol.network == "inception":
        swaps += [
            ("resize", protocol.resize, n, first, replace(protocol, resize=n)) for n in RESIZES if n != protocol.resize
        ]
        swaps += [
            ("normalise", protocol.normalise, name, first, replace(protocol, normalise=name))
            for name in NORMALISATIONS
            if name != protocol.normalise
        ]
    swaps.append(("precision", protocol.precision, "bfloat16", first, replace(protocol, precision="bfloat16")))
    half = first.count // 2
    swaps.append(("N", str(first.count), str(half), first.first(half), protocol))
    backwards = Images(first.source, first.count, lambda: reversed(list(first.read())))
    swaps.append(("order", "as given", "reversed", backwards, protocol))
    for choice, before, after, images, chosen in swaps:
        value = distance(images, chosen)
        changes.append(Change(choice, before, after, value, value - start))
    return changes


def differing(
    first: dict[str, Any],
    second: dict[str, Any],
    load: Callable[[str], Images],
    options: FeatureOptions | None = None,
    device: torch.device | str = "cpu",
) -> list[Change]:
    """Of two results of `sigmascope metrics --json`: each choice in which they differ, swapped alone from the first to
    the second, then all `together`. Images are read again from where the first result had them."""
    choices = {k: (first["choices"][k], second["choices"].get(k)) for k in first["choices"]}
    unequal = {k: pair for k, pair in choices.items() if pair[0] != pair[1]}
    changes = [
        Change(k, str(first[k]), str(second[k]), math.nan, math.nan)
        for k in ("generated", "reference")
        if first[k] != second[k]
    ]
    moving = {k: after for k, (_, after) in unequal.items() if k in ("network", "resize", "normalise", "precision")}
    changes += [Change(k, str(a), str(b), math.nan, math.nan) for k, (a, b) in unequal.items() if k not in moving]
    if not moving:
        return changes or [Change("nothing", "", "", math.nan, 0.0)]
    base = Protocol("first", **{k: first["choices"][k] for k in ("network", "resize", "normalise", "precision")})
    generated, reference = load(first["generated"]), load(first["reference"])

    def distance(chosen: Protocol) -> float:
        return _value(evaluate(generated, reference, [_METRIC], chosen, options, device))

    start = distance(base)
    changes.insert(0, Change("baseline", "", "first", start, 0.0))
    swaps = [({k: after}, k) for k, after in moving.items()]
    swaps += [(moving, "together")] if len(moving) > 1 else []
    for swap, name in swaps:
        value = distance(replace(base, **swap))
        before, after = (", ".join(str(v) for v in side) for side in ([unequal[k][0] for k in swap], swap.values()))
        changes.append(Change(name, before, after, value, value - start))
    return changes


def _value(found: Evaluation) -> float:
    return found.scores[0].value
