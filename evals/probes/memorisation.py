"""P10, memorisation: does the denoiser know its training images better than others?

    gap       E error on held-out images - E error on training images, in x0 units
    ratio     E error on training images / E error on held-out images
    distance  E |D - D_set|^2 / E |D_set - x0|^2, D_set the posterior mean over the training images, on held-out images

The two errors are at the same level and under the same noise, held-out image i beside the training image as far along
in its set, so that sets sorted alike are compared class by class. A denoiser that learnt the distribution has a gap of
0 and a ratio of 1 (Kadkhodaie et al., arXiv:2310.02557). One that learnt the set is D_set: a distance of 0, and a ratio
far below 1 until the noise is so large that only the mean of the data is left to know.

The best denoiser's distance is 1 - its error / that of D_set, by orthogonality: near 1 at small noise, and near 0 at
large noise, where D_set is as good as any. So a small distance speaks of memorisation only together with the ratio.

One further evaluation, on a training image.
"""

from __future__ import annotations

from torch import Tensor

from ...errors import ConfigError, DataError
from ...metrics.intervals import Floats
from .engine import labels_of
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square, ratio
from .references import finite_set, training_set


def _gap(heldout: Floats, train: Floats) -> Floats:
    return heldout - train


@PROBES.register("memorisation")
class Memorisation(Probe):
    name = "memorisation"
    evaluations = 1
    quantities = (
        Quantity("gap", ("heldout", "train"), _gap, optimal=0.0),
        Quantity("ratio", ("train", "heldout"), ratio, optimal=1.0),
        Quantity("distance", ("to_set", "set"), ratio),
    )

    def check(self, subject: Subject) -> None:
        train, data, denoiser = training_set(subject, self.name), subject.data, subject.denoiser
        if denoiser.text is not None:
            raise ConfigError("probe 'memorisation': expected a model without captions: it is given the held-out ones")
        if denoiser.traits.classes is not None and (train.labels is None) != (data.labels is None):
            raise DataError("probe 'memorisation': expected labels for training and held-out images, or for neither")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        train, data = subject.train, subject.data
        assert train is not None
        beside = seen.image * len(train.images) // len(data.images)
        x0 = train.images[beside].to(seen.x0)
        answer = subject.ask(x0 + seen.sigma * seen.eps, seen.level, labels_of(subject.denoiser, train, beside))
        remembered = finite_set(train.images)(seen.scaled, seen.level.sigma)
        return {
            "heldout": seen.error,
            "train": mean_square(answer.x0 - x0),
            "to_set": mean_square(seen.prediction.x0 - remembered),
            "set": mean_square(remembered - seen.x0),
        }
