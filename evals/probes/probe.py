"""What a probe is: numbers for each network evaluation, and the quantities that their means make at each level.

A probe sees every evaluation of the one shared pass (`engine`): an image x0, its noise eps, the level, and what the
denoiser answered. `observe` turns a batch of them into columns, one number a row; a probe that needs further network
evaluations asks for them there, and says beforehand how many. `Quantity` says which function of the columns' means is
shown per level, and what a perfect denoiser gives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from ...errors import ConfigError, DataError
from ...metrics.intervals import Floats
from ...registry import Registry, made
from ..data import DataSet
from ..denoiser import Cond, Denoiser
from ..levels import Level, broadcast
from ..noise import Noise
from ..parameterization import Prediction

LEVELS_MAX = 1 << 16
"""The noise of (level, draw) is step draw * 2^16 + level of its stream."""


@dataclass(frozen=True)
class Evaluations:
    """A batch of network evaluations; every field has B rows."""

    image: Tensor
    """Image ids, int64."""
    index: Tensor
    """Level numbers, int64."""
    draw: Tensor
    level: Level
    cond: Cond
    x0: Tensor
    """Clean images `(B, *event_shape)`."""
    eps: Tensor
    """The noise that was added."""
    prediction: Prediction

    @cached_property
    def sigma(self) -> Tensor:
        """`(B, 1, ...)`, to multiply images with."""
        return broadcast(self.level.sigma, self.x0)

    @cached_property
    def scaled(self) -> Tensor:
        """The scaled noisy images x_t / alpha = x0 + sigma eps."""
        return self.x0 + self.sigma * self.eps

    @cached_property
    def error(self) -> Tensor:
        """|D - x0|^2 / d, `(B,)` float64."""
        return mean_square(self.prediction.x0 - self.x0)

    @property
    def step(self) -> Tensor:
        """What keys noise of one's own by (level, draw), beside the image's id and a purpose."""
        return self.draw * LEVELS_MAX + self.index

    def __getitem__(self, rows: Tensor) -> Evaluations:
        """Some of the rows, by number."""
        picked = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name not in _OTHERS}
        cond = {name: tensor[rows] for name, tensor in self.cond.items()}
        prediction = Prediction(self.prediction.x0[rows], self.prediction.eps[rows])
        return Evaluations(**picked, cond=cond, prediction=prediction)

    def __len__(self) -> int:
        return len(self.image)


_OTHERS = ("cond", "prediction")


@dataclass(frozen=True)
class Subject:
    """Who is asked, about what, under which noise: the same for every probe of a pass."""

    denoiser: Denoiser
    data: DataSet
    """Held-out images."""
    sigmas: Tensor
    """Levels `(L,)` float64, ascending."""
    noise: Noise
    train: DataSet | None = None
    """Training images, for probes that compare with them."""

    @cached_property
    def levels(self) -> Level:
        return self.denoiser.level(self.sigmas)

    @cached_property
    def mean(self) -> Tensor:
        """The data's mean image `(*event_shape)`, float64."""
        return self.data.images.mean(0, dtype=torch.float64)

    @cached_property
    def variance(self) -> float:
        """The data's variance around `mean`, averaged over dimensions."""
        return float(self.data.images.var(0, correction=0).mean())

    def ask(self, scaled: Tensor, level: Level, cond: Cond) -> Prediction:
        """The prediction at scaled states x_t / alpha `(B, *event_shape)`; one evaluation a row."""
        return self.denoiser.predict(broadcast(level.alpha, scaled) * scaled, level, cond)

    def again(self, seen: Evaluations, scaled: Tensor) -> Prediction:
        """The prediction at other scaled states, at the same levels and conditions."""
        return self.ask(scaled, seen.level, seen.cond)

    def normal(self, seen: Evaluations, purpose: str) -> Tensor:
        """Standard normals like `seen.x0`, keyed by (image, level, draw) and a purpose of one's own."""
        device = seen.x0.device
        shape = self.denoiser.event_shape
        normals = self.noise.normal(seen.image.to(device), purpose, seen.step.to(device), shape, torch.float64)
        return normals.to(seen.x0.dtype)


def _mean(mean: Floats) -> Floats:
    return mean


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """A quantity's statistic: one mean over another."""
    return numerator / denominator


def removed(less: Floats, whole: Floats) -> Floats:
    """A quantity's statistic: the share of one mean that another is smaller by."""
    return 1.0 - less / whole


@dataclass(frozen=True)
class Quantity:
    """One number per level: `statistic` of the means of `columns` over images and draws."""

    name: str
    columns: tuple[str, ...]
    """Of `Probe.observe`."""
    statistic: Callable[..., Floats] = _mean
    """Takes the columns' means, in order, as arrays of one shape, elementwise."""
    optimal: float | None = None
    """What a perfect denoiser gives; None where that depends on the data."""
    slice: str = "all"
    """Which part of the images it looks at, such as a band of frequencies."""


class Probe(ABC):
    """One diagnostic."""

    name: str
    """As in a suite, `PROBES` and the tables."""
    quantities: tuple[Quantity, ...]
    evaluations: int = 0
    """Network evaluations a row beyond the shared one. A directional derivative counts as the evaluations it takes."""
    images: int | None = None
    """Asks about the first so many images only, where it is dear; None: about all."""

    def check(self, subject: Subject) -> None:  # noqa: B027
        """Raises ConfigError or DataError where this subject can't be probed: before anything expensive."""

    def applies(self, subject: Subject) -> bool:
        """Whether `check` has nothing against this subject."""
        try:
            self.check(subject)
        except (ConfigError, DataError):
            return False
        return True

    @abstractmethod
    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        """Column name -> `(B,)` numbers, for a batch of the shared pass. NaN stands for "not scored"."""

    def cost(self, levels: int, draws: int, images: int) -> int:
        """Network evaluations beyond the shared pass."""
        return self.evaluations * levels * draws * min(images, self.images or images)


PROBES: Registry[Callable[..., Probe]] = Registry("probe")
"""Probes by the name a suite uses."""


def probe(text: str) -> Probe:
    """A probe by its name, with arguments if it takes any: "calibration", "sure(directions=4)". Raises ConfigError."""
    return made(PROBES, text)


def counts(name: str, **arguments: int) -> None:
    """Raises ConfigError, naming the probe, for an argument that is not at least 1."""
    for argument, value in arguments.items():
        if not (isinstance(value, int) and value >= 1):
            raise ConfigError(f"probe {name!r}: expected {argument} of at least 1, got {value!r}")


def mean_square(images: Tensor) -> Tensor:
    """`(B, ...)` -> the mean over dimensions of their squares, `(B,)` float64."""
    return images.double().square().flatten(1).mean(1)


def mean_product(a: Tensor, b: Tensor) -> Tensor:
    """`(B, ...)` twice -> <a, b> / d, `(B,)` float64."""
    return (a.double() * b.double()).flatten(1).mean(1)
