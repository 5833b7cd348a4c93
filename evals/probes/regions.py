"""Regions: where in the image the denoising error is.

The image is divided into grid x grid regions of rows and columns, as even as its size allows.

    error     mean square error of a region, in x0 units
    relative  the region's over the whole image's: 1 everywhere for an error that is spread evenly

What is to be expected depends on the data (the middle of a portrait is harder than its corners): compare with another
model, or look for what changes from level to level.

No further evaluations.
"""

from __future__ import annotations

from torch import Tensor

from ...errors import ConfigError
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, ratio


@PROBES.register("regions")
class Regions(Probe):
    name = "regions"

    def __init__(self, grid: int = 4) -> None:
        """
        Args:
            grid: regions along each side.
        """
        if grid < 1:
            raise ConfigError(f"probe 'regions': expected a grid of at least 1, got {grid}")
        self.grid = grid
        places = [(row, column) for row in range(1, grid + 1) for column in range(1, grid + 1)]
        self.quantities = tuple(
            quantity
            for row, column in places
            for where in [f"row {row}/{grid}, column {column}/{grid}"]
            for quantity in (
                Quantity("error", (f"at_{row}_{column}",), slice=where),
                Quantity("relative", (f"at_{row}_{column}", "error"), ratio, slice=where),
            )
        )

    def check(self, subject: Subject) -> None:
        shape = subject.denoiser.event_shape
        if len(shape) != 3 or min(shape[1:]) < self.grid:
            raise ConfigError(f"probe 'regions': expected images of at least {self.grid} x {self.grid}, got {shape}")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        squared = (seen.prediction.x0 - seen.x0).double().square().mean(1)
        found = {"error": seen.error}
        for row, band in enumerate(squared.tensor_split(self.grid, 1), 1):
            for column, region in enumerate(band.tensor_split(self.grid, 2), 1):
                found[f"at_{row}_{column}"] = region.flatten(1).mean(1)
        return found
