"""Metrics of one set of images against another, in one call: what `sigmascope metrics` and explain.py run.

Images (or reference statistics) -> one pass each -> every metric asked for, under a protocol -> Evaluation. Names are
checked, prompts counted and weights loaded before the first image is read.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, DataError, IncomparableError
from .features import FeatureNetwork, FeatureOptions, load_features
from .features.preprocess import Preprocess
from .images import Images
from .lint import Inspector
from .one_pass import FeatureSet, Need, collect
from .pairs import PAIR_METRICS, PairMetric
from .protocols import Protocol, fingerprint
from .reference import Statistics
from .scores import METRICS, Z95, Question, Score, SetMetric

Advance = Callable[[int], None]
_PAIRS = 16  # at once


@dataclass(frozen=True)
class SetFacts:
    """What was measured: where it came from, how many images, a hash of them in order and one of them in any order
    (of statistics: of their content, twice); width x height of the images."""

    source: str
    count: int
    digest: str
    content: str
    size: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """scores; warnings, sentences about either set; seconds; facts of the generated set and of the reference; by name:
    features of the generated set, and networks."""

    scores: list[Score]
    warnings: list[str]
    seconds: float
    generated: SetFacts
    reference: SetFacts | None
    features: dict[str, FeatureSet]
    networks: dict[str, FeatureNetwork]


def evaluate(
    generated: Images,
    reference: Images | Statistics | None,
    metrics: Sequence[str],
    protocol: Protocol,
    options: FeatureOptions | None = None,
    device: torch.device | str = "cpu",
    advance: Advance = lambda images: None,
    prompts: Sequence[str] | None = None,
    stored: Statistics | None = None,
    moments: bool = False,
) -> Evaluation:
    """Every metric named, of METRICS or PAIR_METRICS; pairs are taken in order. `options` say how weights are found;
    preprocessing, precision and compiling are the protocol's. advance is told of images done, of both sets. prompts:
    one per generated image, in order. stored: of more images than `reference` holds; Fréchet distances are taken to
    these. moments: keep the generated set's on the protocol's network, whatever the metrics need.

    Raises ConfigError for unknown names or a device torch can't use, LoadError for missing weights, DataError for unfit
    images or prompts, IncomparableError for statistics of another network than the protocol's.
    """
    start, device, options = time.perf_counter(), _usable(device), options or FeatureOptions()
    chosen = [METRICS[name] for name in metrics if name not in PAIR_METRICS]
    paired = [name for name in metrics if name in PAIR_METRICS]
    default = protocol.network
    _check_inputs(generated, reference, chosen, paired, prompts)
    if "kid" in metrics:
        _check_subsets(generated, reference, protocol)
    networks = load_networks(chosen, protocol, options, device, keep=moments)
    pairs = {name: PAIR_METRICS[name](options if not networks else replace(options, weights=None)) for name in paired}
    for statistics in (reference, stored):
        if isinstance(statistics, Statistics):
            _check_statistics(statistics, chosen, networks, default, alone=statistics is reference)
    texts = {name: _texts(networks[name], prefix, prompts or ()) for name, prefix in _prefixes(chosen)}

    needs = _needs(chosen, default, "generated")
    if moments:
        needs[default] = needs.get(default, frozenset()) | _moments(networks[default])
    found, inspector = _pass(generated, networks, needs, device, advance)
    mine = _facts(generated.source, inspector)
    others: dict[str, FeatureSet] = {}
    theirs, warnings = None, []
    if isinstance(reference, Statistics):
        others, theirs = {default: reference.features()}, _stored_facts(reference)
    elif reference is not None:
        others, other = _pass(reference, networks, _needs(chosen, default, "reference"), device, advance)
        theirs = _facts(reference.source, other)
        warnings = [f"reference: {sentence}" for sentence in other.findings()]
    if any(isinstance(one, Statistics) and not one.provenance.network for one in (reference, stored)):
        warnings.append(f"reference: nothing in the file says that its statistics are of {networks[default].protocol}")

    digest = "" if theirs is None else theirs.digest + ("" if stored is None else stored.digest)
    asked = hashlib.sha256("\0".join(prompts or ()).encode()).hexdigest()[:16]
    scores = []
    for metric in chosen:
        name = metric.network or default
        other_set = others.get(name)
        if stored is not None and name == default and metric.reference and "rows" not in metric.reference:
            other_set = stored.features()
        question = Question(found[name], other_set, networks[name], protocol, digest, texts.get(name), asked)
        scores += metric.score(question)
    if pairs:
        assert isinstance(reference, Images)
        scores += _pairs(generated, reference, pairs, digest, device)
    dimensions = [networks[m.network or default].dimension for m in chosen if "moments" in m.generated]
    ordered = _labels(generated, found) if "inception_score" in metrics else None
    findings = [f"generated: {sentence}" for sentence in inspector.findings(max(dimensions, default=None), ordered)]
    return Evaluation(scores, findings + warnings, time.perf_counter() - start, mine, theirs, found, networks)


def load_networks(
    metrics: Sequence[SetMetric], protocol: Protocol, options: FeatureOptions, device: torch.device, keep: bool = False
) -> dict[str, FeatureNetwork]:
    """Each network once, as the protocol runs it; those that bring their own preprocessing keep it. options.weights are
    the protocol's network's, or those of the only network there is. keep: the protocol's in any case."""
    made = {}
    names = sorted({metric.network or protocol.network for metric in metrics} | ({protocol.network} if keep else set()))
    for name in names:
        chosen = replace(options, precision=protocol.precision, compiled=protocol.compiled)
        if name == "inception":
            chosen = replace(chosen, preprocess=Preprocess(protocol.resize, protocol.normalise))
        if name != protocol.network and len(names) > 1:
            chosen = replace(chosen, weights=None)
        if name == "digits":
            chosen = FeatureOptions(precision=protocol.precision, compiled=protocol.compiled)
        made[name] = load_features(name, chosen).to(device)
    return made


def _check_inputs(
    generated: Images,
    reference: Images | Statistics | None,
    metrics: Sequence[SetMetric],
    pairs: Sequence[str],
    prompts: Sequence[str] | None,
) -> None:
    if reference is None and any(metric.reference for metric in metrics):
        raise ConfigError("expected a reference for these metrics, got none")
    if pairs and (not isinstance(reference, Images) or reference.count != generated.count):
        there = f"{reference.count} images" if isinstance(reference, Images) else "no images"
        raise DataError(f"{pairs[0]}: expected a target for each of {generated.count} images, got {there}")
    if any(metric.prefix is not None for metric in metrics):
        if prompts is None:
            raise ConfigError("expected a prompt for each image for a CLIP score, got no prompts")
        if len(prompts) != generated.count:
            raise DataError(f"expected a prompt for each of {generated.count} images, got {len(prompts)}")


def _usable(device: torch.device | str) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"expected a device that torch can use here, such as cpu, got {device!r}: {error}") from error
    return found


def _check_subsets(generated: Images, reference: Images | Statistics | None, protocol: Protocol) -> None:
    """Known before a network runs: that a set is smaller than the subsets which the protocol's KID draws."""
    if protocol.kid is None or protocol.kid.fit or not isinstance(reference, Images):
        return
    smaller = min(generated.count, reference.count)
    if smaller < protocol.kid.size:
        raise ConfigError(
            f"kid: expected at least {protocol.kid.size} images a set, for the subsets of protocol "
            f"{protocol.name or 'as given'}, got {smaller}: leave kid out or name a protocol that takes all samples"
        )


def _moments(network: FeatureNetwork) -> frozenset[Need]:
    """What a file of statistics holds: sFID's as well, where the network has what it is made of."""
    return frozenset({"moments", "spatial"} if network.name == "inception" else {"moments"})


def _facts(source: str, seen: Inspector) -> SetFacts:
    return SetFacts(source, seen.count, seen.digest, seen.content, seen.size)


def _stored_facts(statistics: Statistics) -> SetFacts:
    known, digest = statistics.provenance, statistics.digest
    return SetFacts(known.source, known.n, digest, digest, known.size)


def _prefixes(metrics: Sequence[SetMetric]) -> Iterator[tuple[str, str]]:
    return ((metric.network or "", metric.prefix) for metric in metrics if metric.prefix is not None)


def _texts(network: FeatureNetwork, prefix: str, prompts: Sequence[str]) -> Tensor:
    from .features.vit import embed_prompts

    return embed_prompts(network, [f"{prefix}{prompt}" for prompt in prompts])


def _pass(
    images: Images,
    networks: dict[str, FeatureNetwork],
    needs: dict[str, frozenset[Need]],
    device: torch.device,
    advance: Advance,
) -> tuple[dict[str, FeatureSet], Inspector]:
    inspector = Inspector(images.jpeg)

    def batches() -> Iterator[Tensor]:
        for batch in images.batches():
            inspector.add(batch)
            yield batch

    wanted = {name: network for name, network in networks.items() if needs.get(name)}
    return collect(batches(), wanted, needs, device, advance), inspector


def _needs(metrics: Sequence[SetMetric], default: str, side: str) -> dict[str, frozenset[Need]]:
    needs: dict[str, frozenset[Need]] = {}
    for metric in metrics:
        name = metric.network or default
        needs[name] = needs.get(name, frozenset()) | getattr(metric, side)
    return needs


def _check_statistics(
    statistics: Statistics,
    metrics: Sequence[SetMetric],
    networks: dict[str, FeatureNetwork],
    default: str,
    alone: bool,
) -> None:
    """alone: there are no images beside them."""
    network = networks.get(default)
    others = any(metric.reference and (metric.network or default) != default for metric in metrics)
    if network is None or (alone and others):
        raise ConfigError(f"expected metrics of {default} features against statistics, got others: name images instead")
    if len(statistics.mean) != network.dimension:
        raise DataError(f"expected statistics of {network.dimension} dimensions, got {len(statistics.mean)}")
    if statistics.provenance.network not in ("", network.fingerprint):
        raise IncomparableError(
            f"expected statistics of {network.protocol} [{network.fingerprint}], "
            f"got {statistics.provenance.preprocessing} [{statistics.provenance.network}]"
        )


def _labels(images: Images, found: dict[str, FeatureSet]) -> Sequence[int] | None:
    """Classes in order: the source's own, else what the network takes the images for."""
    if images.labels is not None:
        return images.labels
    logits = next((one.logits for one in found.values() if one.logits is not None), None)
    return None if logits is None else logits.argmax(dim=1).tolist()


def _pairs(
    generated: Images, reference: Images, metrics: Mapping[str, PairMetric], digest: str, device: torch.device
) -> list[Score]:
    values: dict[str, list[Tensor]] = {name: [] for name in metrics}
    both = zip(generated.read(), reference.read(), strict=True)
    for _, group in itertools.groupby(both, lambda pair: (pair[0].shape, pair[1].shape)):
        while held := list(itertools.islice(group, _PAIRS)):
            first, second = (torch.stack(side).to(device) for side in zip(*held, strict=True))
            for name, metric in metrics.items():
                values[name].append(metric.values(first, second).cpu())
    scores = []
    for name, metric in metrics.items():
        table = torch.cat(values[name]).numpy()
        n, mean = len(table), float(table.mean())
        half = float(Z95 * table.std(ddof=1) / np.sqrt(n)) if n > 1 and np.isfinite(table).all() else float("nan")
        mark = fingerprint(metric=name, protocol=metric.protocol, weights=metric.weights, reference=digest)
        words = f"mean over pairs in order; {metric.protocol}"
        scores.append(Score(metric.title, mean, mean - half, mean + half, n, words, mark))
    return scores
