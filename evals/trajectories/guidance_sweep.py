"""S9, guidance sweep: how far apart the two answers are at each level, and what scale and interval do to samples.

    gap       E |D_c - D_u|^2 / (s^2 d) at the states of the walk: the square of the direction that guidance adds, in
              units of eps, before it is multiplied by (w - 1); where it is large guidance acts
    spread    ln E |y - m|^2 / E |y_1 - m|^2 over samples at each scale and interval against those at scale 1, from the
              same noise; m is the mean of the held-out images
    outside   share of their values beyond [-1, 1]: oversaturation of images

Guidance doesn't sample what its formula suggests. The score w s_c + (1 - w) s_u belongs to p_c^w p_u^(1-w) at every
level apart, but no diffusion runs through these: for Gaussians of variance L_c and L_u the flow ends at the variance
L_c^w L_u^(1-w), not at the tilted 1 / (w / L_c + (1 - w) / L_u) (arXiv:2408.09000). Within an interval of levels
[a, b] the exponent applies to its part, ((L_c + a^2) / (L_c + b^2))^w ((L_u + a^2) / (L_u + b^2))^(1-w), and the
conditional flow's to the rest.

Two evaluations per level and, for every scale and interval, a walk with up to two evaluations a step's one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..conditioning import GuidedDenoiser, steered
from ..probes.probe import Quantity, mean_square
from .held_out import checked, mean_image
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk, walk

Interval = tuple[float, float]


def _log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.asarray(np.log(numerator / denominator))


@TRAJECTORY_PROBES.register("guidance_sweep")
class GuidanceSweep(TrajectoryProbe):
    name = "guidance_sweep"

    def __init__(
        self, scales: tuple[float, ...] = (2.0, 4.0), intervals: tuple[Interval, ...] = ((0.0, math.inf),)
    ) -> None:
        """
        Args:
            scales: beside 1, which is what they are compared with.
            intervals: of sigma, where guidance acts.
        """
        pairs = all(isinstance(one, Sequence) and len(one) == 2 and 0 <= one[0] < one[1] for one in intervals)
        if not scales or not intervals or not pairs or not all(math.isfinite(scale) for scale in scales):
            raise ConfigError(
                f"trajectory probe 'guidance_sweep': expected finite scales and intervals (low, high), got {scales} "
                f"and {intervals}"
            )
        self.settings = {_name(scale, one): (scale, (one[0], one[1])) for scale in scales for one in intervals}
        self.quantities = (
            Quantity("gap", ("gap",)),
            *(
                quantity
                for name in self.settings
                for quantity in (
                    Quantity("spread", (f"power {name}", "power"), _log_ratio, slice=name),
                    Quantity("outside", (f"outside {name}",), slice=name),
                )
            ),
        )

    def check(self, course: Course) -> None:
        checked(course, self.name)
        if not isinstance(course.denoiser, GuidedDenoiser):
            raise ConfigError(
                f"trajectory probe 'guidance_sweep': expected a model with guidance, such as guidance = {{scale = 1.0, "
                f"null = {{class_labels = 10}}}}, got {course.denoiser.traits.spec} without"
            )

    def evaluations(self, course: Course) -> int:
        sigmas, each = course.sigmas, course.solver().evaluations(course.sigmas)
        walks = each
        for scale, (low, high) in self.settings.values():
            inside = float(((sigmas[:-1] >= low) & (sigmas[:-1] <= high)).double().mean())
            walks += round(each * (1.0 + (inside if scale != 1.0 else 0.0)))
        return 2 * int(torch.isfinite(sigmas[:-1]).sum()) + walks

    def observe(self, walk_: Walk) -> Observed:
        course, ids, mean = walk_.course, walk_.sample_ids, mean_image(walk_.course)
        whole = {"power": mean_square(_samples(course, ids, 1.0, (0.0, math.inf)) - mean)}
        for name, (scale, interval) in self.settings.items():
            made = _samples(course, ids, scale, interval)
            whole |= {f"power {name}": mean_square(made - mean)}
            whole |= {f"outside {name}": (made.abs() > 1.0).flatten(1).double().mean(1)}
        return Observed({"gap": _gap(walk_)}, whole)


def _name(scale: float, interval: Interval) -> str:
    """ "scale 2", or "scale 2 at 0.3-5"."""
    low, high = interval
    return f"scale {scale:g}" + ("" if low == 0 and math.isinf(high) else f" at {low:g}-{high:g}")


def _samples(course: Course, sample_ids: Tensor, scale: float, interval: Interval) -> Tensor:
    """Samples under other guidance. Their network evaluations are counted as the course's."""
    denoiser = steered(course.denoiser, scale, interval)
    made = walk(replace(course, denoiser=denoiser), sample_ids).states[-1]
    course.denoiser.evaluations += denoiser.evaluations
    return made


def _gap(walk_: Walk) -> Tensor:
    """`(I, N)`: NaN where the walk starts from pure noise, which has no scaled state."""
    course = walk_.course
    conditional, without = steered(course.denoiser, 1.0), steered(course.denoiser, 0.0)
    rows = []
    for x, sigma in zip(walk_.states[:-1], walk_.sigmas[:-1].tolist(), strict=True):
        if math.isinf(sigma):
            rows.append(torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device))
            continue
        apart = conditional.denoise(x, sigma, walk_.cond).eps - without.denoise(x, sigma, walk_.cond).eps
        rows.append(mean_square(apart))
    course.denoiser.evaluations += conditional.evaluations + without.evaluations
    return torch.stack(rows)
