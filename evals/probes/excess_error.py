"""P2, excess error: the denoising error beside that of the best denoisers known without a network.

    over_linear   error / error of the best linear denoiser (references.linear)
    over_set      error / error of the posterior mean over the training images (references.finite_set)
    excess        error - the lesser of the two, in x0 units

All on the same held-out noisy images. No function of the noisy image has a smaller error than E[x0 | x], so the best
denoiser has at most 1, 1 and 0: above is error that a few lines of algebra avoid, and so not the data's own. At large
noise both references come near the best denoiser, and the ratios near 1; at small noise they are easily beaten.

With a denoiser that is known to be the best, such as an oracle's, give it as `known`: the excess over it is 0 for the
best, and nobody's is less.

No further evaluations; a pass over the training images for each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ...metrics.intervals import Floats
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square, ratio
from .references import Reference, finite_set, linear, training_set


def _excess(error: Floats, *known: Floats) -> Floats:
    return np.asarray(error - np.minimum.reduce(known))


@PROBES.register("excess_error")
class ExcessError(Probe):
    name = "excess_error"

    def __init__(self, known: Mapping[str, Reference] | None = None) -> None:
        """
        Args:
            known: denoisers to compare with instead, by name: functions of x0 + sigma eps and sigma.
        """
        self.known = known
        names = tuple(known) if known else ("linear", "set")
        self.quantities = (
            *(Quantity(f"over_{name}", ("error", name), ratio) for name in names),
            Quantity("excess", ("error", *names), _excess),
        )

    def check(self, subject: Subject) -> None:
        if not self.known:
            training_set(subject, self.name)

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        scaled, sigma = seen.scaled.double(), seen.level.sigma.to(seen.x0.device)
        references = self.known or _references(subject)
        errors = {name: mean_square(answer(scaled, sigma) - seen.x0) for name, answer in references.items()}
        return {"error": seen.error} | errors


def _references(subject: Subject) -> dict[str, Reference]:
    assert subject.train is not None
    return {"linear": linear(subject.train.images), "set": finite_set(subject.train.images)}
