"""P13: an oracle's estimate never leaves its data's range; what leaves it is counted, with what clipping is worth."""

from __future__ import annotations

import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import as_denoiser

from .proving import GAUSSIAN, PAIR, curve_of, data_of, faulty, rows_of


def test_an_average_of_data_stays_within_their_range() -> None:
    for quantity in ("outside", "excess"):
        curve = curve_of(as_denoiser(PAIR), data_of(PAIR, 200), probe("hull"), quantity)
        scored = curve[curve["value"].notna()]
        # x0 is carried in float32: the end of the range itself may be left by a rounding
        assert (scored["value"].abs() < 1e-6).all()


def test_what_leaves_the_range_is_counted_where_it_does() -> None:
    def answer(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return PAIR.denoise(x, sigma) + torch.where((sigma > 1.0) & (sigma < 8.0), 3.0, 0.0)

    curve = curve_of(faulty(answer), data_of(PAIR, 200), probe("hull"), "outside")
    band = (curve["sigma"] > 1.0) & (curve["sigma"] < 8.0)
    assert (curve["value"][band] == 1.0).all()
    assert (curve["value"][~band] < 1e-6).all()
    excess = curve_of(faulty(answer), data_of(PAIR, 200), probe("hull"), "excess")
    # off by about 3 everywhere; clipping leaves 1 - x0, whose square is at most 4 of 9
    assert (excess["value"][excess["sigma"].between(1.0, 8.0)] > 0.5).all()


def test_data_without_a_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected data within \[-1, 1\], got values up to"):
        rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 50), [probe("hull")])
