"""P13, hull: how much of the estimate lies outside the range of clean data.

E[x0 | x_t] is an average of clean data, so it lies in their convex hull: whatever leaves the range is provably not the
best estimate, and clipping it can only lessen the error.

    outside  share of values outside [-1, 1]
    excess   share of the denoising error that clipping would remove: 1 - E |clip(D) - x0|^2 / E |D - x0|^2

For data that have a range only: images, not latents or points. No further evaluations.
"""

from __future__ import annotations

from torch import Tensor

from ...errors import ConfigError
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square, removed


@PROBES.register("hull")
class Hull(Probe):
    name = "hull"
    quantities = (
        Quantity("outside", ("outside",), optimal=0.0),
        Quantity("excess", ("clipped", "error"), removed, optimal=0.0),
    )

    def check(self, subject: Subject) -> None:
        furthest = float(subject.data.images.abs().max())
        if furthest > 1.0:
            raise ConfigError(f"probe 'hull': expected data within [-1, 1], got values up to {furthest:.3g}")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        estimate = seen.prediction.x0
        return {
            "outside": (estimate.abs() > 1.0).double().flatten(1).mean(1),
            "clipped": mean_square(estimate.clamp(-1.0, 1.0) - seen.x0),
            "error": seen.error,
        }
