"""P5, Stein's unbiased risk estimate: the denoising error without clean data, and the posterior variance in J.

For any smooth D of x = x0 + s eps,  E |D - x0|^2 = E [|D - x|^2 - d s^2 + 2 s^2 div D]  (Stein, Annals of Statistics
1981). For the best denoiser the error is the posterior variance, and that is its Jacobian: Cov(x0 | x) = s^2 J.

    ratio   SURE / error: 1 for any denoiser that is a smooth function of x. Another value says that the answers are no
            such function: dropout left on, coarse rounding, jumps
    kappa   error / (s^2 E div D): 1 for the best denoiser. Above: the error is larger than the posterior variance the
            network's Jacobian claims (too sure of itself), below: smaller (too timid)

Clean data are at hand here, so what has mean zero given x0 is taken out of SURE: s^2 (|eps|^2 - d) and the share of
<eps, D> along an estimate that knows x0 alone. It leaves SURE = error + 2 s (s div D - <eps, D - c>),
c = mean + P / (P + s^2) (x0 - mean), P the data's variance; without, its spread at large s would be s^2.

Two further evaluations for each random direction of Hutchinson's estimate of div D.
"""

from __future__ import annotations

from torch import Tensor

from ...metrics.intervals import Floats
from . import jacobian
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts, mean_product, ratio


def _sure(error: Floats, gap: Floats) -> Floats:
    return (error + gap) / error


@PROBES.register("sure")
class Sure(Probe):
    name = "sure"
    quantities = (
        Quantity("ratio", ("error", "gap"), _sure, optimal=1.0),
        Quantity("kappa", ("error", "variance"), ratio, optimal=1.0),
    )

    def __init__(self, directions: int = 1, images: int = 64) -> None:
        counts("sure", directions=directions, images=images)
        self.directions, self.images = directions, images
        self.evaluations = 2 * directions

    def check(self, subject: Subject) -> None:
        jacobian.check(self.name, subject)

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        _, divergence = jacobian.trace(subject, seen, seen.scaled, self.directions, self.name)
        sigma = seen.level.sigma.to(divergence)
        mean = subject.mean.to(seen.x0.device)
        weight = subject.variance / (subject.variance + seen.sigma.double() ** 2)
        known = mean + weight * (seen.x0.double() - mean)
        along = mean_product(seen.eps, seen.prediction.x0.double() - known)
        return {
            "error": seen.error,
            "gap": 2.0 * sigma * (sigma * divergence - along),
            "variance": sigma**2 * divergence,
        }
