"""Metrics of one set of images against another, in one call: what `sigmascope metrics` and explain.py run.

Images (or reference statistics) -> one pass each -> every metric asked for, under a protocol -> Evaluation. Names are
checked and weights loaded before the first image is read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
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
from .pairs import PAIR_METRICS
from .protocols import Protocol, fingerprint
from .reference import Statistics
from .scores import METRICS, Z95, Question, Score, SetMetric

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """scores; warnings, sentences about either set; seconds; by name: features of the generated set, and networks."""

    scores: list[Score]
    warnings: list[str]
    seconds: float
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
) -> Evaluation:
    """Every metric named, of METRICS or PAIR_METRICS; pairs are taken in order. `options` say how weights are found;
    preprocessing and precision are the protocol's. advance is told of images done, of both sets.

    Raises ConfigError for unknown names, LoadError for missing weights, DataError for unfit images,
    IncomparableError for statistics of another network than the protocol's.
    """
    start, device = time.perf_counter(), torch.device(device)
    chosen = [METRICS[name] for name in metrics if name not in PAIR_METRICS]
    pairs = [name for name in metrics if name in PAIR_METRICS]
    networks = load_networks(chosen, protocol, options or FeatureOptions(), device)
    default = protocol.network
    if reference is None and any(metric.reference for metric in chosen):
        raise ConfigError("expected a reference for these metrics, got none")
    if isinstance(reference, Statistics):
        _check_statistics(reference, chosen, networks, default)

    found, inspector = _pass(generated, networks, _needs(chosen, default, "generated"), device, advance)
    others: dict[str, FeatureSet] = {}
    digest, warnings = "", []
    if isinstance(reference, Statistics):
        others, digest = {default: reference.features()}, reference.digest
    elif reference is not None:
        others, other = _pass(reference, networks, _needs(chosen, default, "reference"), device, advance)
        digest = other.digest()
        warnings = [f"reference: {sentence}" for sentence in other.findings()]

    scores = []
    for metric in chosen:
        name = metric.network or default
        scores += metric.score(Question(found[name], others.get(name), networks[name], protocol, digest))
    if pairs:
        scores += _pairs(generated, reference, pairs)
    dimensions = [networks[m.network or default].dimension for m in chosen if "moments" in m.generated]
    ordered = _labels(generated, found) if "inception_score" in metrics else None
    mine = [f"generated: {sentence}" for sentence in inspector.findings(max(dimensions, default=None), ordered)]
    return Evaluation(scores, mine + warnings, time.perf_counter() - start, found, networks)


def load_networks(
    metrics: Sequence[SetMetric], protocol: Protocol, options: FeatureOptions, device: torch.device
) -> dict[str, FeatureNetwork]:
    """Each network once, as the protocol runs it; those that bring their own preprocessing keep it."""
    made = {}
    for name in sorted({metric.network or protocol.network for metric in metrics}):
        chosen = replace(options, precision=protocol.precision)
        if name == "inception":
            chosen = replace(chosen, preprocess=Preprocess(protocol.resize, protocol.normalise))
        elif name != protocol.network:
            chosen = replace(chosen, weights=None)  # the file named is the protocol's network's
        if name == "digits":
            chosen = FeatureOptions(precision=protocol.precision)
        made[name] = load_features(name, chosen).to(device)
    return made


class _Watched(Inspector):
    """An inspector that also knows a digest of all images, in order."""

    def __init__(self, jpeg: float) -> None:
        super().__init__(jpeg)
        self._digest = hashlib.sha256()

    def add(self, images: Tensor) -> None:
        super().add(images)
        self._digest.update(f"{tuple(images.shape[1:])}".encode() * len(images))
        self._digest.update(images.cpu().contiguous().numpy().tobytes())

    def digest(self) -> str:
        return self._digest.hexdigest()[:16]


def _pass(
    images: Images,
    networks: dict[str, FeatureNetwork],
    needs: dict[str, frozenset[Need]],
    device: torch.device,
    advance: Advance,
) -> tuple[dict[str, FeatureSet], _Watched]:
    watched = _Watched(images.jpeg)

    def batches() -> Iterator[Tensor]:
        for batch in images.batches():
            watched.add(batch)
            yield batch

    wanted = {name: network for name, network in networks.items() if needs.get(name)}
    return collect(batches(), wanted, needs, device, advance), watched


def _needs(metrics: Sequence[SetMetric], default: str, side: str) -> dict[str, frozenset[Need]]:
    needs: dict[str, frozenset[Need]] = {}
    for metric in metrics:
        name = metric.network or default
        needs[name] = needs.get(name, frozenset()) | getattr(metric, side)
    return needs


def _check_statistics(
    statistics: Statistics, metrics: Sequence[SetMetric], networks: dict[str, FeatureNetwork], default: str
) -> None:
    network = networks.get(default)
    if network is None or any((metric.network or default) != default for metric in metrics):
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


def _pairs(generated: Images, reference: Images | Statistics | None, names: Sequence[str]) -> list[Score]:
    if not isinstance(reference, Images) or reference.count != generated.count:
        there = f"{reference.count} images" if isinstance(reference, Images) else "no images"
        raise DataError(f"pairs: expected a target for each of {generated.count} images, got {there}")
    values: dict[str, list[Tensor]] = {name: [] for name in names}
    for first, second in zip(generated.batches(16), reference.batches(16), strict=True):
        for name in names:
            values[name].append(PAIR_METRICS[name](first, second))
    scores = []
    for name in names:
        table = torch.cat(values[name]).numpy()
        n, mean = len(table), float(table.mean())
        half = float(Z95 * table.std(ddof=1) / np.sqrt(n)) if n > 1 and np.isfinite(table).all() else float("nan")
        protocol = "mean over pairs in order, 8-bit values, torchmetrics"
        scores.append(Score(name.upper(), mean, mean - half, mean + half, n, protocol, fingerprint(metric=name)))
    return scores
