"""P9, local intrinsic dimension: in how many directions does the network let an image vary?

FLIPD (Kamkari et al., arXiv:2406.03537), in the scaled state at the clean image itself:

    dimension   E [div D + |D - x|^2 / s^2] at x = x0
    freedom     E [div D] at x = x0: how many directions pass the denoiser

On a flat k-manifold both go to k as s goes to 0; for a Gaussian with variances l they are sum [l / (l + s^2) +
l s^2 / (l + s^2)^2] and sum l / (l + s^2). A network that has lost directions has less freedom than its neighbours in
s; where data lie off what it has learnt, `dimension` grows beyond all bounds, as |D - x0|^2 / s^2.

Two further evaluations for each random direction of Hutchinson's estimate of div D; their mean is D itself.
"""

from __future__ import annotations

from torch import Tensor

from . import jacobian
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts, mean_square


@PROBES.register("dimension")
class Dimension(Probe):
    name = "dimension"
    quantities = (Quantity("dimension", ("dimension",)), Quantity("freedom", ("freedom",)))

    def __init__(self, directions: int = 1, images: int = 64) -> None:
        counts("dimension", directions=directions, images=images)
        self.directions, self.images = directions, images
        self.evaluations = 2 * directions

    def check(self, subject: Subject) -> None:
        jacobian.check(self.name, subject)

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        answer, divergence = jacobian.trace(subject, seen, seen.x0, self.directions, self.name)
        freedom = subject.denoiser.dimensions * divergence
        moved = subject.denoiser.dimensions * mean_square((answer - seen.x0) / seen.sigma)
        return {"dimension": freedom + moved, "freedom": freedom}
