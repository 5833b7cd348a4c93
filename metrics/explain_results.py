"""Why two stored results differ: every choice in which they do, swapped alone, and what is left.

Two Results -> explain_results -> Explanation. The images are read again from where they were; what can't be swapped,
because images or weights are gone or have changed, is told with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import DataError, IncomparableError, SigmascopeError
from .evaluate import Evaluation, SetFacts, evaluate
from .explain import Change, check_metric, resize_path, stored_score
from .features import FeatureOptions
from .images import Images
from .protocols import Protocol
from .reference import Statistics
from .results import Result
from .scores import METRICS, Score, require_comparable

Load = Callable[[str], Images | Statistics]
_REPRODUCED = 1e-5  # relative: what another batch size or machine may do to a number


@dataclass(frozen=True)
class Explanation:
    """metric: the number's name. first, second: as stored, None where a result doesn't have it. incomparable: why the
    two must not be compared as they stand, empty where they may."""

    metric: str
    first: Score | None
    second: Score | None
    incomparable: str
    changes: list[Change]


@dataclass(frozen=True)
class _Recipe:
    """All that decides a number. n, reference_n: images of each set; weights: their SHA-256, file: where named."""

    protocol: Protocol
    generated: str
    n: int
    reference: str
    reference_n: int
    weights: str
    file: str
    repeat_grey: bool


@dataclass(frozen=True)
class _Swap:
    """One choice: fields of the recipe before and after it. blocked: why it can't be made."""

    choice: str
    before: str
    after: str
    fields: dict[str, Any]
    origin: dict[str, Any]
    blocked: str = ""


def explain_results(
    first: Result,
    second: Result,
    load: Load,
    options: FeatureOptions | None = None,
    device: torch.device | str = "cpu",
    metric: str | None = None,
    limit: int | None = None,
) -> Explanation:
    """metric: of those both have, the first by default. limit: at most so many images a set, for speed; the stored
    numbers are then left out of the remainder. Raises IncomparableError where the results share no such metric."""
    metric = _shared_metric(first, second, metric)
    check_metric(metric)
    known: dict[_Recipe, tuple[Evaluation | None, str]] = {}

    def measured(recipe: _Recipe) -> tuple[float, str]:
        if recipe not in known:
            known[recipe] = _attempt(recipe, metric, load, options or FeatureOptions(), device, limit)
        found, why = known[recipe]
        return (math.nan if found is None else found.scores[0].value), why

    base, end = _recipe(first, metric), _recipe(second, metric)
    start, why = measured(base)
    evaluation = known[base][0]
    title = None if evaluation is None else evaluation.scores[0].metric
    ours, theirs = (_stored(result, metric, title) for result in (first, second))
    unlike = _unlike(evaluation, first, ours, start, limit)
    changes = [Change("baseline", "", "first result", start, 0.0, why or unlike)]
    singles = []
    for swap in _swaps(first, second, base, end, metric):
        before, _ = measured(replace(base, **swap.origin)) if swap.origin else (start, "")
        value, why = (math.nan, swap.blocked) if swap.blocked else measured(replace(base, **swap.fields))
        singles.append(value - before)
        changes.append(Change(swap.choice, swap.before, swap.after, value, value - before, why))
    if not singles:
        changes.append(Change("nothing", "", "", start, 0.0, "the two results were made alike"))
    else:
        value, why = measured(end)
        changes.append(Change("together", "first result", "second result", value, value - start, why))
        left = (value - start) - sum(singles)
        changes.append(Change("remainder", "", "", math.nan, left, "together less the rows above: choices interact"))
        if ours and theirs and limit is None:
            left = (theirs.value - ours.value) - (value - start)
            note = "the stored difference less together: what was not recorded, such as machine and library versions"
            changes.append(Change("not recorded", "", "", math.nan, left, note))
    return Explanation(title or metric, ours, theirs, _incomparable(ours, theirs), changes)


def _shared_metric(first: Result, second: Result, metric: str | None) -> str:
    shared = [name for name in first.metrics if name in second.metrics and name in METRICS]
    if (metric is None and not shared) or (metric is not None and metric not in shared):
        raise IncomparableError(
            f"expected {metric or 'a metric of sets of images'} in both results, got {', '.join(first.metrics)} "
            f"and {', '.join(second.metrics)}"
        )
    return metric or shared[0]


def _recipe(result: Result, metric: str) -> _Recipe:
    network = result.networks[METRICS[metric].network or result.protocol.network]
    reference = (result.reference if METRICS[metric].reference else None) or SetFacts("", 0, "", "")
    return _Recipe(
        replace(result.protocol, name="", note=""),
        result.generated.source,
        result.generated.count,
        reference.source,
        reference.count,
        network.weights,
        network.file,
        result.repeat_grey,
    )


def _attempt(
    recipe: _Recipe, metric: str, load: Load, options: FeatureOptions, device: torch.device | str, limit: int | None
) -> tuple[Evaluation | None, str]:
    """The evaluation, or why there is none."""
    file = Path(recipe.file) if recipe.file else None
    options = replace(options, weights=file, repeat_grey=recipe.repeat_grey)
    try:
        generated = load(recipe.generated)
        reference = load(recipe.reference) if recipe.reference else None
        if isinstance(generated, Statistics):
            return None, f"{recipe.generated}: expected images, got statistics"
        generated = _first(generated, recipe.n, limit)
        if isinstance(reference, Images):
            reference = _first(reference, recipe.reference_n, limit)
        found = evaluate(generated, reference, [metric], recipe.protocol, options, device)
    except SigmascopeError as error:
        return None, str(error)
    (network,) = found.networks.values()
    if network.weights_sha256 != recipe.weights:
        return None, f"expected weights {recipe.weights[:12]}..., got {network.weights_sha256[:12]}...: name their file"
    return found, ""


def _first(images: Images, n: int, limit: int | None) -> Images:
    if images.count < n:
        raise DataError(f"{images.source}: expected {n} images, got {images.count}")
    return images.first(min(n, limit or n))


def _swaps(first: Result, second: Result, base: _Recipe, end: _Recipe, metric: str) -> Iterator[_Swap]:
    yield from _set_swaps("images", first.generated, second.generated, "generated", "n")
    if first.reference and second.reference and base.reference:
        yield from _set_swaps("reference", first.reference, second.reference, "reference", "reference_n")
    ours, theirs = base.protocol, end.protocol
    if METRICS[metric].network is None and ours.network != theirs.network:
        moved = {"protocol": replace(ours, network=theirs.network), "weights": end.weights, "file": end.file}
        yield _Swap("network", ours.network, theirs.network, moved, {})
    elif base.weights != end.weights:
        moved = {"weights": end.weights, "file": end.file}
        yield _Swap("weights", base.weights[:12], end.weights[:12], moved, {})
    inception = "inception" in (METRICS[metric].network or ours.network, METRICS[metric].network or theirs.network)
    for choice, before, after in resize_path(ours.resize, theirs.resize) if inception else ():
        origin, resized = (replace(ours, resize=name) for name in (before, after))
        yield _Swap(choice, before, after, {"protocol": resized}, {"protocol": origin})
    for name in (*(("normalise",) if inception else ()), "precision", "compiled", "inception_score", "splits", "kid"):
        before, after = getattr(ours, name), getattr(theirs, name)
        if before != after:
            moved = {"protocol": replace(ours, **{name: after})}
            yield _Swap(name, _words(before), _words(after), moved, {})
    if base.repeat_grey != end.repeat_grey:
        yield _Swap("repeat grey", str(base.repeat_grey), str(end.repeat_grey), {"repeat_grey": end.repeat_grey}, {})


def _set_swaps(name: str, ours: SetFacts, theirs: SetFacts, source: str, count: str) -> Iterator[_Swap]:
    """One set of the two results: other images, the same in another order, more or fewer of them."""
    same_place = ours.source == theirs.source
    if ours.digest != theirs.digest and (not same_place or ours.count == theirs.count):
        choice = "order" if ours.content == theirs.content else name
        blocked = f"the images at {ours.source} were changed between the two results" if same_place else ""
        yield _Swap(choice, ours.source, theirs.source, {source: theirs.source}, {}, blocked)
    if ours.count != theirs.count:
        choice = "N" if name == "images" else f"N of the {name}"
        yield _Swap(choice, str(ours.count), str(theirs.count), {count: theirs.count}, {})


def _unlike(found: Evaluation | None, result: Result, score: Score | None, value: float, limit: int | None) -> str:
    """How the first result, made again, differs from what was stored."""
    if found is None or limit is not None:
        return ""
    if found.generated.digest != result.generated.digest:
        return f"the images at {result.generated.source} are no longer those measured"
    if result.reference and found.reference and found.reference.digest != result.reference.digest:
        return f"the reference at {result.reference.source} is no longer the one measured"
    if score and not math.isclose(value, score.value, rel_tol=_REPRODUCED, abs_tol=_REPRODUCED):
        return f"stored as {score.value:.6g}: this machine or its libraries give another number"
    return ""


def _stored(result: Result, metric: str, title: str | None) -> Score | None:
    """The score under the title it has now, else the only one there is."""
    found = stored_score(result.scores, title or "")
    return found or (result.scores[0] if len(result.scores) == 1 and result.metrics == (metric,) else None)


def _incomparable(ours: Score | None, theirs: Score | None) -> str:
    if ours is None or theirs is None:
        return "not both results hold it"
    try:
        require_comparable(ours, theirs)
    except IncomparableError as error:
        return str(error)
    return ""


def _words(choice: Any) -> str:
    return "all samples" if choice is None else str(choice)
