"""P4, calibration: does the denoiser estimate as much noise as there is?

For the best denoiser eps_hat = E[eps | x_t] is a projection, so <eps, eps_hat> and |eps_hat|^2 have one mean, the rest
eps - eps_hat is orthogonal to it, and Stein's identity gives E <x, eps_hat> = sigma d. Hence three numbers that are 1:

    slope   E <eps, eps_hat> / E |eps_hat|^2                   below 1: the noise estimate is too large, above: shrunk
    power   (E |eps_hat|^2 + E |eps - eps_hat|^2) / E |eps|^2   Pythagoras
    stein   E <x, eps_hat> / (sigma E |eps|^2)                 the estimate's share along the noisy image

`gain` is the share of the denoising error that scaling eps_hat by `slope` would remove:
1 - (E |eps|^2 - <eps, eps_hat>^2 / E |eps_hat|^2) / E |eps - eps_hat|^2; 0 for the best denoiser.

No further evaluations.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...metrics.intervals import Floats
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_product, mean_square, ratio


def _pythagoras(power: Floats, rest: Floats, noise: Floats) -> Floats:
    return (power + rest) / noise


def _gain(dot: Floats, power: Floats, rest: Floats, noise: Floats) -> Floats:
    return 1.0 - (noise - np.square(dot) / power) / rest


@PROBES.register("calibration")
class Calibration(Probe):
    name = "calibration"
    quantities = (
        Quantity("slope", ("dot", "power"), ratio, optimal=1.0),
        Quantity("power", ("power", "rest", "noise"), _pythagoras, optimal=1.0),
        Quantity("stein", ("stein", "noise"), ratio, optimal=1.0),
        Quantity("gain", ("dot", "power", "rest", "noise"), _gain, optimal=0.0),
    )

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        eps, estimate = seen.eps, seen.prediction.eps
        return {
            "dot": mean_product(eps, estimate),
            "power": mean_square(estimate),
            "rest": mean_square(eps - estimate),
            "noise": mean_square(eps),
            "stein": mean_product(seen.scaled, estimate) / seen.level.sigma.to(eps.device),
        }
