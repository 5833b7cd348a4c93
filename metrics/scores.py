"""Every metric of a set of images under its name: what it needs of which network, and how its number is stored.

FeatureSets of the generated and the reference images -> METRICS[name].score -> Scores. A score names what it is by the
features it stands on: FID on Inception's, "Fréchet distance (digits)" on others. It carries its protocol in words and
as a fingerprint; scores of different fingerprints do not compare (`require_comparable`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..errors import DataError, IncomparableError
from ..registry import Registry
from .clip_score import Scale, clip_score, clip_similarity
from .cmmd import cmmd
from .features import FeatureNetwork
from .frechet import Gaussian, frechet_distance, frechet_influence
from .frechet_infinity import frechet_infinity
from .inception_score import inception_score, inception_score_influence
from .kernel import kernel_distance_influence, kernel_distance_subsets
from .manifold import prdc, precision_recall
from .mind import mind
from .one_pass import FeatureSet, Need
from .protocols import Protocol, fingerprint
from .vendi import vendi_score

Z95 = 1.959964


@dataclass(frozen=True)
class Score:
    """One number about a set of images."""

    metric: str
    value: float
    low: float
    high: float
    """The 95% interval, for the reference set as it is; NaN where there is none."""
    n: int
    """Images."""
    protocol: str
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Question:
    """What a metric is asked: two sets by one network, under a protocol; digest identifies the reference."""

    generated: FeatureSet
    reference: FeatureSet | None
    network: FeatureNetwork
    protocol: Protocol
    digest: str
    texts: Tensor | None = None
    """Embeddings (n, d) of the generated images' prompts, by the same network."""
    prompts: str = ""
    """Identifies the prompts."""

    def score(
        self, metric: str, value: float, half: float = math.nan, how: str = "", alone: bool = False, **choices: object
    ) -> Score:
        """value +- half under a name that says whose features; `how` in words, and `choices` for the fingerprint.
        alone: no reference is involved."""
        marks = [self.network.protocol, how]
        if self.reference is not None and not alone:
            marks.append(f"against {self.reference.n} images" if self.reference.n else "against stored statistics")
        if not math.isnan(self.generated.deviation):
            marks.append(f"features {self.generated.deviation:.1g} from float32's")
        return Score(
            metric,
            value,
            value - half,
            value + half,
            self.generated.n,
            "; ".join(mark for mark in marks if mark),
            fingerprint(
                metric=metric,
                network=self.network.fingerprint,
                reference="" if alone else self.digest,
                **{name: str(choice) for name, choice in choices.items()},
            ),
        )

    def named(self, on_inception: str, otherwise: str = "") -> str:
        """A metric's name, with the network's where that isn't the one the name stands for."""
        name = self.network.name
        if name == "dinov2" and on_inception == "FID":
            return "FD-DINOv2"
        return on_inception if name == "inception" else f"{otherwise or on_inception} ({name})"

    def rows(self) -> tuple[Tensor, Tensor]:
        """Of both sets. Raises DataError where the reference is statistics alone."""
        if self.reference is None or self.reference.rows is None or self.generated.rows is None:
            raise DataError("this metric compares images with images; expected a reference of images, got statistics")
        return self.generated.rows, self.reference.rows


@dataclass(frozen=True)
class SetMetric:
    """network: the one whose features it is defined on; None: the protocol's. generated, reference: what it needs.
    prefix: what stands before every prompt; None: it takes no prompts."""

    score: Callable[[Question], list[Score]]
    generated: frozenset[Need]
    reference: frozenset[Need]
    network: str | None = None
    prefix: str | None = None


METRICS: Registry[SetMetric] = Registry("metric")
"""Metrics of a set of images, by the name a suite or a command uses."""


def _metric(
    name: str,
    generated: tuple[Need, ...],
    reference: tuple[Need, ...],
    network: str | None = None,
    prefix: str | None = None,
) -> Callable[[Callable[[Question], list[Score]]], Callable[[Question], list[Score]]]:
    def register(score: Callable[[Question], list[Score]]) -> Callable[[Question], list[Score]]:
        METRICS.register(name)(SetMetric(score, frozenset(generated), frozenset(reference), network, prefix))
        return score

    return register


def require_comparable(first: Score, second: Score) -> None:
    """Raises IncomparableError unless both are the same metric under the same protocol."""
    if (first.metric, first.fingerprint) != (second.metric, second.fingerprint):
        raise IncomparableError(
            f"expected two numbers of one protocol, got {first.metric} [{first.fingerprint}: {first.protocol}] and "
            f"{second.metric} [{second.fingerprint}: {second.protocol}]"
        )


@_metric("frechet_distance", ("moments", "rows"), ("moments",))
@_metric("fid", ("moments", "rows"), ("moments",), "inception")
@_metric("fd_dinov2", ("moments", "rows"), ("moments",), "dinov2")
@_metric("clip_fid", ("moments", "rows"), ("moments",), "clip")
def _frechet(question: Question) -> list[Score]:
    """Fréchet distance at this N, not corrected for its bias; its interval needs more samples than dimensions."""
    reference = _gaussian(question.reference)
    rows = question.generated.rows
    if rows is not None and len(rows) > rows.shape[1]:
        influence = frechet_influence(rows, reference)
        value, half = influence.value, Z95 * influence.standard_error
    else:
        value, half = frechet_distance(_gaussian(question.generated), reference), math.nan
    name = question.named("FID", "Fréchet distance")
    return [question.score(name, value, half, "pooled features, ddof 1")]


@_metric("sfid", ("spatial",), ("spatial",), "inception")
def _spatial(question: Question) -> list[Score]:
    """sFID: the Fréchet distance of Inception's first 7 channels of mixed_6/conv at 17 x 17 places."""
    if question.reference is None or question.reference.spatial is None or question.generated.spatial is None:
        raise DataError("sfid: expected a reference of images or statistics with mu_s and sigma_s, got neither")
    value = frechet_distance(question.generated.spatial, question.reference.spatial)
    return [question.score("sFID", value, how="7 channels of mixed_6/conv at 17x17, ddof 1")]


@_metric("fd_infinity", ("rows",), ("moments",))
def _infinity(question: Question) -> list[Score]:
    """The Fréchet distance of infinitely many samples, with its regression's interval."""
    assert question.generated.rows is not None
    found = frechet_infinity(question.generated.rows, _gaussian(question.reference))
    how = "15 parts from min(5000, N/10) to N regressed on 1/N, interval of the regression"
    half = (found.high - found.low) / 2
    return [question.score(question.named("FID-infinity", "FD-infinity"), found.value, half, how)]


@_metric("kid", ("rows",), ("rows",))
def _kernel(question: Question) -> list[Score]:
    """KID: of all samples, with its interval, or the mean of the protocol's subsets."""
    name, subsets = question.named("KID", "Kernel distance"), question.protocol.kid
    if subsets is None:
        influence = kernel_distance_influence(*question.rows())
        half = Z95 * influence.standard_error
        return [question.score(name, influence.value, half, "(x'y/d + 1)^3, unbiased, all samples", kid="all")]
    how = f"(x'y/d + 1)^3, unbiased, mean of {subsets}"
    value = kernel_distance_subsets(*question.rows(), subsets).mean
    return [question.score(name, value, how=how, kid=subsets)]


@_metric("inception_score", ("logits",), ())
def _inception_score(question: Question) -> list[Score]:
    """Inception score by the protocol's convention; over all samples at once it has an interval."""
    assert question.generated.logits is not None
    name, convention = question.named("Inception score"), question.protocol.inception_score
    if convention == "plain":
        influence = inception_score_influence(question.generated.logits)
        value, half = math.exp(influence.value), math.exp(influence.value) * Z95 * influence.standard_error
        return [question.score(name, value, half, "all samples at once, no splits", alone=True, convention=convention)]
    found = inception_score(question.generated.logits, question.protocol.splits, convention)
    choices = f"{convention}, {question.protocol.splits}"
    return [question.score(name, found.mean, how=found.convention, alone=True, convention=choices)]


@_metric("precision_recall", ("rows",), ("rows",))
def _precision_recall(question: Question) -> list[Score]:
    """Improved precision and recall, k = 3, border included."""
    found = precision_recall(*question.rows())
    how = "3rd neighbour, border included"
    return [
        question.score(question.named(name), value, how=how, k=3)
        for name, value in (("Precision (k=3)", found.precision), ("Recall (k=3)", found.recall))
    ]


@_metric("prdc", ("rows",), ("rows",))
def _prdc(question: Question) -> list[Score]:
    """Precision, recall, density and coverage, k = 5, border excluded."""
    found = prdc(*question.rows())
    how = "5th neighbour, border excluded"
    return [
        question.score(question.named(name.capitalize()), value, how=how, k=5)
        for name, value in found._asdict().items()
    ]


@_metric("mind", ("rows",), ("rows",))
def _mind(question: Question) -> list[Score]:
    """MIND: sliced 2-Wasserstein distance, squared, times 3 d."""
    value = mind(*question.rows())
    return [question.score(question.named("MIND"), value, how="1000 directions, seed 2020, times 3d", seed=2020)]


@_metric("cmmd", ("rows",), ("rows",), "clip-l-336")
def _cmmd(question: Question) -> list[Score]:
    """CMMD: kernel distance of CLIP embeddings under a Gaussian kernel, times 1000."""
    return [question.score("CMMD", cmmd(*question.rows()), how="Gaussian kernel, sigma 10, V-statistic, times 1000")]


@_metric("clip_score", ("rows",), (), "clip-l", prefix="")
def _clip_score(question: Question) -> list[Score]:
    """CLIP score of torchmetrics: 100 cos of image and prompt on ViT-L/14, averaged, then not below 0."""
    return [_of_prompts(question, "CLIP score", "torchmetrics", "max(mean of 100 cos, 0)")]


@_metric("clip_score_hessel", ("rows",), (), "clip-b-32", prefix="A photo depicts ")
def _clip_score_hessel(question: Question) -> list[Score]:
    """CLIP score of Hessel et al.: 2.5 max(cos, 0) on ViT-B/32 of every pair, averaged."""
    how = "mean of 2.5 max(cos, 0), prompts after 'A photo depicts '"
    return [_of_prompts(question, "CLIP score (Hessel)", "hessel", how)]


def _of_prompts(question: Question, name: str, scale: Scale, how: str) -> Score:
    assert question.generated.rows is not None
    if question.texts is None:
        raise DataError(f"{name}: expected a prompt for each image, got none")
    similarity = clip_similarity(question.generated.rows, question.texts)
    value, n = clip_score(similarity, scale), len(similarity)
    each = 100 * similarity if scale == "torchmetrics" else 2.5 * similarity.clamp_min(0)
    # A mean that was raised to 0 has no interval.
    half = Z95 * float(each.std()) / math.sqrt(n) if n > 1 and float(each.mean()) >= 0 else math.nan
    return question.score(name, value, half, how, alone=True, scale=scale, prompts=question.prompts)


@_metric("vendi", ("rows",), ())
def _vendi(question: Question) -> list[Score]:
    """Vendi score: the effective number of different samples."""
    assert question.generated.rows is not None
    value = vendi_score(question.generated.rows)
    return [question.score(question.named("Vendi score"), value, how="cosine similarity", alone=True)]


def _gaussian(features: FeatureSet | None) -> Gaussian:
    if features is None or features.gaussian is None:
        raise DataError("expected a reference to compare with, got none")
    return features.gaussian
