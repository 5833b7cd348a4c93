"""Regions: each has its own closed form; what is wrong in one corner is found there, at its levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.probes import curves, probe
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, SIGMAS, data_of, misses, rows_of

SHAPE = (1, 6, 5)
ORACLE = Gaussian(torch.zeros(30, dtype=torch.float64), torch.logspace(-2, 0, 30, dtype=torch.float64))
DATA = DataSet(data_of(ORACLE, 400).images.reshape(-1, *SHAPE), None, "oracle")
SPLIT = {"row 1/2": slice(0, 3), "row 2/2": slice(3, 6), "column 1/2": slice(0, 3), "column 2/2": slice(3, 5)}
"""Of 6 rows and 5 columns: an odd number leaves the first region the larger."""


def images(shift: float) -> Denoiser:
    """The oracle, off by `shift` in the lower right region at some levels."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        answer = ORACLE.denoise(x.flatten(1), sigma).reshape(x.shape)
        band = ((sigma > 1.0) & (sigma < 8.0)).reshape(-1, 1, 1, 1)
        answer[:, :, 3:, 3:] += torch.where(band, shift, 0.0)
        return answer

    return wrap(network, EDM(), "x0", SHAPE, micro_batch=256, dtype=torch.float64)


def expected(curve: pd.DataFrame) -> np.ndarray:
    """Mean of l s^2 / (l + s^2) over the region, for `relative` over that of the image."""
    variances = ORACLE.variances.reshape(SHAPE[1:])
    found = []
    for where, s, quantity in zip(curve["slice"], curve["sigma"], curve["quantity"], strict=True):
        mmse = variances * s**2 / (variances + s**2)
        region = mmse[tuple(SPLIT[part] for part in where.split(", "))].mean()
        found.append(float(region if quantity == "error" else region / mmse.mean()))
    return np.array(found)


def curve_of(denoiser: Denoiser) -> pd.DataFrame:
    regions = probe("regions(grid=2)")
    return curves(rows_of(denoiser, DATA, [regions]), [regions])


def test_each_region_has_its_own_error() -> None:
    curve = curve_of(images(0.0))
    assert len(curve) == 2 * 4 * len(SIGMAS)
    assert misses(curve, expected(curve), len(curve)).empty


def test_what_is_wrong_in_a_corner_is_found_there() -> None:
    curve = curve_of(images(0.5))
    above = misses(curve, expected(curve), len(curve))
    above = above[above["value"] > expected(above)]
    assert set(above["slice"]) == {"row 2/2, column 2/2"}
    assert set(above["level"]) == set(np.flatnonzero((SIGMAS > 1.0) & (SIGMAS < 8.0)))


def test_what_has_no_regions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected images of at least 4 x 4, got \(16,\)"):
        rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 5), [probe("regions")])
    with pytest.raises(ConfigError, match="a grid of at least 1, got 0"):
        probe("regions(grid=0)")
