"""Raw output: how far off the network's own output is, and what its parameterization makes of that error.

An output p = c0 x0 + c1 eps that is off by delta moves the estimate of x0 by gain_x0 |delta| and that of eps by
gain_eps |delta| (evals.parameterization; eps: sigma and 1, x0: 1 and 1/sigma, v: sigma_t and alpha at unit variance).
Where a gain is large, a small error or rounding of the output is a large error of the estimate.

    raw       E |p_hat - p|^2 / d, in the network's units
    gain_x0   |d x0 / d p|, in the network's units
    gain_eps  |d eps / d p|
    clipped   share of values that the estimate puts exactly on an end of the range although the truth lies within:
              what a clip or threshold inside the model leaves behind

No further evaluations.
"""

from __future__ import annotations

from torch import Tensor

from ..denoiser import Denoiser
from ..levels import Level, broadcast
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square


@PROBES.register("raw_output")
class RawOutput(Probe):
    name = "raw_output"
    quantities = (
        Quantity("raw", ("raw",)),
        Quantity("gain_x0", ("gain_x0",)),
        Quantity("gain_eps", ("gain_eps",)),
        Quantity("clipped", ("clipped",), optimal=0.0),
    )

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        denoiser, estimate = subject.denoiser, seen.prediction.x0
        to_x0, to_eps = denoiser.parameterization.gains(_native(denoiser, seen.level))
        # x0 and eps carry one error between them, for alpha x0 + sigma_t eps = x_t is given
        raw = mean_square((estimate - seen.x0) * denoiser.unit) / to_x0.to(estimate.device) ** 2
        rounding = 2.0**-21 * (1.0 + seen.sigma)
        at_end = ((estimate.abs() - 1.0).abs() <= rounding) & ((seen.x0.abs() - 1.0).abs() > rounding)
        return {
            "raw": raw,
            "gain_x0": to_x0,
            "gain_eps": to_eps,
            "clipped": at_end.double().flatten(1).mean(1),
        }


def raw_output(denoiser: Denoiser, seen: Evaluations) -> Tensor:
    """The network's output `(B, ...)`, float64, as its predictions of x0 and eps tell it, in the network's units."""
    c0, c1 = denoiser.parameterization.direction(_native(denoiser, seen.level))
    x0 = seen.prediction.x0.double() * denoiser.unit + denoiser.center
    return broadcast(c0, x0) * x0 + broadcast(c1, x0) * seen.prediction.eps.double()


def from_raw(denoiser: Denoiser, seen: Evaluations, output: Tensor) -> Tensor:
    """The estimate of x0 that an output `(B, ...)` stands for, float64."""
    x_t = broadcast(seen.level.alpha, seen.x0.double()) * seen.scaled.double()
    return denoiser.interpret(output.double(), x_t, seen.level).x0


def _native(denoiser: Denoiser, level: Level) -> Level:
    return level if denoiser.unit == 1.0 else level.rescaled(1.0 / denoiser.unit)
