"""Held-out data beside a sampler: images by sample id, noised to a level, with the condition they belong to.

Sample i stands beside image i modulo their number. Intervals over more samples than images take an image that comes
again for another, and are then a little too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import DataError
from ..data import DataSet
from ..denoiser import Cond
from .walk import Course, descend

LEAST = 4


@dataclass(frozen=True)
class HeldOut:
    """Some images: `x0` `(N, *event_shape)` on the denoiser's device, with the condition of each."""

    course: Course
    sample_ids: Tensor
    x0: Tensor
    cond: Cond

    def noised(self, sigma: float, purpose: str = "held out") -> Tensor:
        """Scaled states x0 + sigma eps; the same eps at every level."""
        shape = self.course.denoiser.event_shape
        return self.x0 + sigma * self.course.noise.normal(self.sample_ids, purpose, 0, shape, self.x0.dtype)

    def descended(self, course: Course, x: Tensor, sigmas: Tensor) -> Tensor:
        """Samples from states at sigmas[0], by the course's solver and under these images' condition."""
        return descend(course, x, sigmas, self.sample_ids, self.cond)


def held_out(course: Course, sample_ids: Tensor) -> HeldOut:
    """The images beside some samples."""
    data = checked(course, "")
    device = course.denoiser.device
    rows = sample_ids.cpu() % len(data.images)
    conditional = course.denoiser.traits.classes is not None and data.labels is not None
    cond = {"class_labels": data.labels[rows].to(device)} if conditional and data.labels is not None else {}
    return HeldOut(course, sample_ids.to(device), data.images[rows].to(device), cond)


def checked(course: Course, wanted_by: str) -> DataSet:
    """The course's data. Raises DataError where there is none, too little, or of another shape."""
    if course.data is None:
        raise DataError(f"trajectory probe {wanted_by!r}: expected held-out images, got none")
    shape = tuple(course.data.images.shape[1:])
    if shape != course.denoiser.event_shape or len(course.data.images) < LEAST:
        raise DataError(
            f"trajectory probe {wanted_by!r}: expected at least {LEAST} held-out images of shape "
            f"{course.denoiser.event_shape}, got {len(course.data.images)} of {shape}"
        )
    return course.data


def mean_image(course: Course) -> Tensor:
    """The held-out images' mean `(*event_shape)`, float64, on the denoiser's device."""
    return checked(course, "").images.mean(0, dtype=torch.float64).to(course.denoiser.device)
