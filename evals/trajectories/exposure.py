"""S6, exposure: are the states a sampler passes through those the model was trained on?

At each level the sampler's own states x are set beside held-out images noised to it, y = x0 + sigma eps, with the noise
that the walk began with, so that the two differ by little else than what went wrong. With m the data's mean,

    power      E |x - m|^2 / E |y - m|^2: contrast lost (below 1) or gained on the way down
    band       the same of each band of spatial frequencies: which details were lost
    mean       E [x - y], averaged over an image, in units of the data: drift of the brightness
    noise      sqrt(E |eps_hat(x)|^2 / E |eps_hat(y)|^2): above 1 the model is shown, and takes away, too much noise
    final      power at the end: samples against the images themselves

1, 1, 0, 1 and 1 for an exact sampler of an exact denoiser (exposure bias: arXiv:2301.11706, arXiv:2308.15321). For
Gaussian data a linear solver's are those of its variance recursion. A row stands at its interval's first level.

One evaluation per level beyond the walk's predictions.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ...metrics.intervals import Floats
from ..probes.probe import Quantity, mean_square, ratio
from ..probes.references import fourier
from ..probes.spectrum import bands
from .held_out import checked, held_out, mean_image
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk

EDGES = (0.0625, 0.125, 0.25, 0.5)
"""Between bands of frequencies, in cycles per pixel: octaves up to Nyquist's, as in probe `spectrum`."""
NAMES = (*(f"{low:g}-{high:g}" for low, high in pairwise((0.0, *EDGES))), f"{EDGES[-1]:g} and up")


def _root_ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.asarray(np.sqrt(numerator / denominator))


def _difference(one: Floats, other: Floats) -> Floats:
    return one - other


@TRAJECTORY_PROBES.register("exposure")
class Exposure(TrajectoryProbe):
    name = "exposure"
    predicts = True
    quantities = (
        Quantity("power", ("power", "power_data"), ratio, optimal=1.0),
        Quantity("mean", ("mean", "mean_data"), _difference, optimal=0.0),
        Quantity("noise", ("noise", "noise_data"), _root_ratio, optimal=1.0),
        Quantity("final", ("final", "final_data"), ratio, optimal=1.0),
        *(
            Quantity("band", (f"band_{number}", f"band_{number}_data"), ratio, 1.0, f"frequency {name}")
            for number, name in enumerate(NAMES)
        ),
    )

    def check(self, course: Course) -> None:
        checked(course, self.name)

    def evaluations(self, course: Course) -> int:
        return int(torch.isfinite(course.sigmas[:-1]).sum())

    def observe(self, walk: Walk) -> Observed:
        beside, mean = held_out(walk.course, walk.sample_ids), mean_image(walk.course)
        columns: dict[str, list[Tensor]] = {}
        for index, sigma in enumerate(walk.sigmas[:-1].tolist()):
            x, y = walk.states[index], beside.noised(sigma, "initial")
            found = {"": _moments(x, mean), "_data": _moments(y, mean)}
            if math.isfinite(sigma):
                found[""]["noise"] = mean_square(walk.prediction(index).eps)
                found["_data"]["noise"] = mean_square(walk.course.denoiser.denoise(y, sigma, beside.cond).eps)
            for side, one in found.items():
                for name, value in one.items():
                    columns.setdefault(name + side, []).append(value)
        return Observed(
            {name: torch.stack(values) for name, values in columns.items()},
            {"final": mean_square(walk.states[-1] - mean), "final_data": mean_square(beside.x0 - mean)},
        )


def _moments(x: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """Of states `(N, *event_shape)`; bands without a frequency, and noise until it is known, are NaN."""
    found = {"power": mean_square(x - mean), "mean": x.double().flatten(1).mean(1)}
    unknown = torch.full_like(found["power"], torch.nan)
    found |= {"noise": unknown} | {f"band_{number}": unknown for number in range(len(EDGES) + 1)}
    if x.ndim > 2:
        found |= {f"band_{number}": value for number, value in bands(fourier(x - mean), EDGES).items()}
    return found
