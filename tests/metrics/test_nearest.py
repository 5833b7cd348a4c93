"""The nearest image of a set, against a distance taken image by image in float64, and with planted copies."""

from __future__ import annotations

import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.metrics.nearest import NEIGHBOURS, nearest
from torch import Tensor

SHAPE = (3, 9, 7)


def images(count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_distances_are_those_of_brute_force() -> None:
    """3,000 reference images are three blocks. Sums of integers are exact either way: no tolerance but the roots'."""
    some, others = images(40, 0), images(3000, 1)
    found = nearest(some, others)
    each = torch.stack([(one.double() - others.double()).square().flatten(1).mean(1).sqrt() for one in some]) / 255
    kept = each.sort(dim=1).values[:, :NEIGHBOURS]
    assert torch.equal(found.index, each.argmin(1))
    torch.testing.assert_close(found.distance, kept[:, 0], rtol=1e-14, atol=0)
    torch.testing.assert_close(found.ratio, kept[:, 0] / kept.mean(1), rtol=1e-13, atol=0)
    assert (found.ratio > 0.9).all(), "noise is near to nothing"


def test_a_copy_is_found_even_where_the_set_holds_it_twice() -> None:
    others = images(2100, 1)
    others[2050] = others[7]
    some = torch.stack((others[7], others[1500], (others[1600] // 8) * 8))
    found = nearest(some, others)
    assert found.index.tolist() == [7, 1500, 1600], "of two equals the first"
    assert found.ratio[:2].tolist() == [0.0, 0.0]
    assert 0 < found.ratio[2] < 0.1, "a copy with three bits less"


def test_a_set_of_one_image_over_and_over_is_no_division_by_zero() -> None:
    others = images(1, 1).expand(60, *SHAPE)
    assert nearest(others[:1], others).ratio.item() == 0.0
    assert nearest(images(1, 2), others).ratio.item() == pytest.approx(1.0)


@pytest.mark.parametrize("reference", [images(1, 1), images(5, 1).float(), images(5, 1, (3, 8, 8))])
def test_what_can_not_be_compared_is_refused(reference: Tensor) -> None:
    with pytest.raises(DataError, match="expected"):
        nearest(images(3, 0), reference)
