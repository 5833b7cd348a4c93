"""Which pictures a pass keeps: each level's largest errors, and the first images, which every model keeps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pandas as pd
import torch
from sigmascope.evals.probes.probe import Evaluations
from sigmascope.evals.probes.worst import Worst

IMAGES, DRAWS = 6, 2


def batches(errors: torch.Tensor, size: int) -> list[Evaluations]:
    """A pass over two levels in batches; errors: `(levels, images, draws)`."""
    at = torch.cartesian_prod(*(torch.arange(count) for count in errors.shape))
    found = []
    for level, image, draw in (part.unbind(1) for part in at.split(size)):
        x0 = image.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / IMAGES
        found.append(
            SimpleNamespace(
                index=level, image=image, draw=draw, x0=x0, eps=torch.zeros_like(x0), error=errors[level, image, draw],
                level=SimpleNamespace(sigma=level + 1.0), prediction=SimpleNamespace(x0=x0 + 0.1),
            )
        )  # fmt: skip
    return cast(list[Evaluations], found)


def kept(seed: int, shared: int, size: int = 5) -> tuple[pd.DataFrame, Worst]:
    errors = torch.rand(2, IMAGES, DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    worst = Worst(2, shared=shared)
    for batch in batches(errors, size):
        worst(batch)
    return worst.table(None), worst


def test_models_that_err_elsewhere_keep_the_same_first_images() -> None:
    keys = ["level", "image", "draw"]
    first, second = (set(kept(seed, 3)[0][keys].itertuples(index=False, name=None)) for seed in (1, 2))
    always = {(level, image, 0) for level in (0, 1) for image in range(3)}
    assert first != second
    assert always <= first & second


def test_the_largest_errors_are_kept_as_without_them_and_nothing_twice() -> None:
    alone, both = kept(1, 0)[0], kept(1, 3)[0]
    assert len(alone) == 4
    assert not both.duplicated(["level", "image", "draw"]).any()
    pd.testing.assert_frame_equal(
        both[both["rank"] < 2].drop(columns="tile").reset_index(drop=True), alone.drop(columns="tile")
    )
    for _, rows in both.groupby("level"):
        assert rows["error"].is_monotonic_decreasing
        assert list(rows["rank"]) == list(range(len(rows)))


def test_batches_do_not_matter_and_every_entry_has_its_four_tiles() -> None:
    table, worst = kept(1, 3)
    pd.testing.assert_frame_equal(table, kept(1, 3, size=24)[0])
    tiles = worst.tiles()
    assert tiles is not None
    assert len(tiles) == 4 * len(table)
    truth = (table["image"] / IMAGES + 1) * 127.5
    assert (abs(tiles[table["tile"] + 2, 0, 0, 0] - truth) <= 0.5001).all()  # rounded, in float32
