"""Condition use: what the condition is worth at each level, with a shuffled one as control.

    shuffled   E |D_other - x0|^2 / E |D_c - x0|^2: the error under the condition of another image, relative to the
               image's own; 1 where the condition makes no difference to the answer
    use        E |D_0 - x0|^2 / E |D_c - x0|^2, D_0 without condition; at or below 1 the condition does not help
    guidance   E |D_c - D_0|^2 / (sigma^2 d): the disagreement that guidance scales up

`use` and `guidance` need what stands for no condition: condition(null=10) for a class-conditional model whose label 10
means "none". For optimal denoisers half the integral of E |D_0 - x0|^2 - E |D_c - x0|^2 over 1/sigma^2 is the mutual
information of image and condition (Guo, Shamai, Verdu, IEEE T-IT 2005): `information`. Two further evaluations.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...errors import ConfigError
from .engine import labels_of
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square, ratio

_SHARED: tuple[Quantity, ...] = (Quantity("shuffled", ("shuffled", "error"), ratio),)
_WITHOUT: tuple[Quantity, ...] = (Quantity("use", ("without", "error"), ratio), Quantity("guidance", ("guidance",)))


@PROBES.register("condition")
class Condition(Probe):
    name = "condition"
    quantities = _SHARED
    evaluations = 1

    def __init__(self, null: int | None = None) -> None:
        self.null = null
        if null is not None:
            self.quantities, self.evaluations = _SHARED + _WITHOUT, 2

    def check(self, subject: Subject) -> None:
        if subject.denoiser.traits.classes is None:
            raise ConfigError("probe 'condition': expected a model with a condition, got an unconditional one")
        if subject.data.labels is None or len(subject.data.labels.unique()) < 2:
            raise ConfigError("probe 'condition': expected data of at least two classes or captions")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        other = labels_of(subject.denoiser, subject.data, _others(seen, subject))
        shuffled = subject.ask(seen.scaled, seen.level, other).x0
        columns = {"error": seen.error, "shuffled": mean_square(shuffled - seen.x0)}
        if self.null is not None:
            nothing = {name: torch.full_like(tensor, self.null) for name, tensor in seen.cond.items()}
            without = subject.ask(seen.scaled, seen.level, nothing).x0
            columns["without"] = mean_square(without - seen.x0)
            columns["guidance"] = mean_square((seen.prediction.x0 - without) / seen.sigma)
        return columns


def _others(seen: Evaluations, subject: Subject) -> Tensor:
    """For each row an image of another class, any of them as likely."""
    labels = subject.data.labels
    assert labels is not None
    by_label = torch.argsort(labels, stable=True)
    ordered, own = labels[by_label].contiguous(), labels[seen.image].contiguous()
    first, last = torch.searchsorted(ordered, own), torch.searchsorted(ordered, own, right=True)
    place = subject.noise.words(seen.image, "other condition", 0, 1).squeeze(1) % (len(labels) - (last - first))
    return by_label[torch.where(place < first, place, place + last - first)]


def information(evaluations: pd.DataFrame, dimensions: int) -> float:
    """Nats: half the integral of (error without - error with the condition) over 1/sigma^2, by trapezes over levels.

    `evaluations` is `engine.measure`'s table for condition(null=...); `dimensions` turns means back into sums.
    """
    means = evaluations.groupby("sigma")[["condition.without", "condition.error"]].mean()
    gain = dimensions * (means["condition.without"] - means["condition.error"]).to_numpy()
    snr = 1.0 / np.square(means.index.to_numpy())
    return float(-0.5 * np.trapezoid(gain, snr))
