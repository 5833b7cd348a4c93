"""What metrics of two sets share: the torchmetrics shell that keeps their rows, the checks of a pair, blocks of rows.

Features of two streams -> FeatureTables.tables() -> the pure functions of kernel.py, manifold.py, mind.py ...
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ..errors import DataError

BLOCK = 1024


class FeatureTables(Metric):  # type: ignore[misc]
    """Keeps every row (n, d) of a real and a generated set; several processes' rows follow one another by rank."""

    is_differentiable = False
    full_state_update = False
    real: list[Tensor]
    generated: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("generated", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        (self.real if real else self.generated).append(features)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Generated (n, d) and real (m, d). Raises DataError where one side got nothing."""
        for side in ("generated", "real"):
            if not len(getattr(self, side)):
                raise DataError(f"expected features of both sets, got no {side} ones")
        return dim_zero_cat(self.generated), dim_zero_cat(self.real)

    def scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.device)


def checked_pair(generated: Tensor, real: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Two tables (n, d) and (m, d) of one floating dtype, float32 at least. Raises DataError for differing widths,
    fewer than `least` rows, or values that aren't finite."""
    for name, table in (("generated", generated), ("real", real)):
        if table.ndim != 2 or len(table) < least or not table.shape[1]:
            raise DataError(f"expected {name} features (n, d) of at least {least} samples, got {tuple(table.shape)}")
        broken = sum(int((~table[rows].isfinite()).any(dim=1).sum()) for rows in blocks(len(table)))
        if broken:
            raise DataError(f"expected finite {name} features, got {broken} rows not so")
    if generated.shape[1] != real.shape[1]:
        raise DataError(f"expected features of {real.shape[1]} dimensions, got {generated.shape[1]}")
    dtype = torch.promote_types(torch.promote_types(generated.dtype, real.dtype), torch.float32)
    return generated.detach().to(dtype), real.detach().to(dtype)


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
