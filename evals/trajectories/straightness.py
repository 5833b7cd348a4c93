"""S5, straightness: how far a sampler's paths are from straight lines, that is, how ready a model is for few steps.

In the coordinates of rectified flow, t = sigma / (1 + sigma) and z = x / (1 + sigma), x the scaled state, every model's
path runs from noise at t = 1 to data at t = 0, whatever its own schedule. With u the velocity of an interval's chord
and Z the displacement of the whole walk,

    deviation      E |Z / T - u|^2 dt / d per interval, T the walk's extent in t: it adds up to `straightness`
    angle          E of the angle between an interval's chord and the next one's, radians
    straightness   integral of E |Z / T - u|^2 dt / d: 0 for straight paths (arXiv:2209.03003)
    chord_to_arc   E |Z| / E of the path's length: 1 for straight paths

On Gaussian data of variance l, in the limit of many steps from t = 1 to 0, straightness is sqrt(l) (2 - pi / 2): a
mode's path is y f(t), y the sample and f(t) = sqrt((1 - t)^2 + t^2 / l). No further evaluations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..probes.probe import Quantity, mean_square, ratio
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Walk


@TRAJECTORY_PROBES.register("straightness")
class Straightness(TrajectoryProbe):
    name = "straightness"
    quantities = (
        Quantity("deviation", ("deviation",), optimal=0.0),
        Quantity("angle", ("angle",), optimal=0.0),
        Quantity("straightness", ("straightness",), optimal=0.0),
        Quantity("chord_to_arc", ("chord", "arc"), ratio, optimal=1.0),
    )

    def observe(self, walk: Walk) -> Observed:
        first = 0 if torch.isfinite(walk.sigmas[0]) else 1
        times = walk.sigmas / (1.0 + walk.sigmas)
        path = [x.double() / (1.0 + float(sigma)) for x, sigma in zip(walk.states, walk.sigmas, strict=True)]
        extent = float(times[first])
        whole = (path[first] - path[-1]) / extent
        chords = [path[i] - path[i + 1] for i in range(walk.intervals)]
        spans = (times[:-1] - times[1:]).tolist()
        deviation = torch.stack([mean_square(whole - u / dt) * dt for u, dt in zip(chords, spans, strict=True)])
        angle = torch.full_like(deviation, torch.nan)
        for i in range(first, walk.intervals - 1):
            angle[i] = _angle(chords[i], chords[i + 1])
        lengths = torch.stack([chord.flatten(1).norm(dim=1) for chord in chords])
        return Observed(
            steps={"deviation": deviation, "angle": angle},
            whole={
                "straightness": deviation[first:].sum(0),
                "chord": extent * whole.flatten(1).norm(dim=1),
                "arc": lengths[first:].sum(0),
            },
        )


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Between rows, `(N,)`, by the half-angle formula, which is exact for small angles (W. Kahan)."""
    a, b = a.flatten(1), b.flatten(1)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    return 2.0 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))
