"""Precision, recall, density and coverage: who lies within the k-th neighbour's distance of whom.

    precision  share of generated samples in a real ball         recall    share of real samples in a generated ball
    density    mean number of real balls around a sample, / k    coverage  share of real balls with a sample in them

(Kynkaanniemi et al. 2019, 1904.06991; Naeem et al. 2020, 2002.09797.) Features of two sets -> prdc (k = 5, strictly
inside) or precision_recall (k = 3, border included). Distances are made in blocks of float32 about a common centre and
never kept; what float32 can't decide is decided again in float64, so the counts are float64's and memory is linear.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from .two_sets import BLOCK, FeatureTables, blocks, checked_pair

_SPARE = 4  # neighbours kept beyond the k-th, to be put into order in float64
_SURE = 4.0  # standard deviations of float32 rounding beyond which a comparison counts as decided


class Manifold(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


class PrecisionRecall(NamedTuple):
    precision: float
    recall: float


def prdc(generated: Tensor, real: Tensor, k: int = 5, inclusive: bool = False) -> Manifold:
    """All four of features (n, d) and (m, d); a ball reaches to its centre's k-th neighbour in its own set, the centre
    not counted. `inclusive`: a point on the border is inside. The defaults are those of the package prdc.

    Raises ConfigError unless 1 <= k < the size of the smaller set, DataError for other inputs.
    """
    x, r = checked_pair(generated, real)
    if not 1 <= k < min(len(x), len(r)):
        raise ConfigError(f"expected k from 1 to {min(len(x), len(r)) - 1}, got {k}")
    centre = r.mean(dim=0).float()
    g, f = _Cloud(x, centre), _Cloud(r, centre)
    g_balls, f_balls = _Balls(g, k), _Balls(f, k)
    around_generated = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    covered = torch.zeros(len(r), dtype=torch.bool, device=x.device)
    recalled = torch.zeros_like(covered)
    for rows in blocks(len(r)):
        some = f.part(rows)
        for columns in blocks(len(x)):
            distances, slack = some.distances(g.part(columns))
            in_real = f_balls.contain(g, rows, columns, distances, slack, inclusive)
            around_generated[columns] += in_real.sum(dim=0)
            covered[rows] |= in_real.any(dim=1)
            in_generated = g_balls.contain(f, columns, rows, distances.T, slack.T, inclusive)
            recalled[rows] |= in_generated.any(dim=0)
    counts = around_generated.double()
    return Manifold(
        precision=float((counts > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(counts.mean() / k),
        coverage=float(covered.double().mean()),
    )


def precision_recall(generated: Tensor, real: Tensor, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall with the border included, as torch-fidelity and guided-diffusion have them."""
    precision, recall, _, _ = prdc(generated, real, k, inclusive=True)
    return PrecisionRecall(precision, recall)


class PRDC(FeatureTables):
    """`prdc` of two streams of features (n, d). compute(): precision, recall, density, coverage; float64 scalars."""

    higher_is_better = True

    def __init__(self, k: int = 5, inclusive: bool = False) -> None:
        super().__init__()
        self.k, self.inclusive = k, inclusive

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b, c, d = (self.scalar(value) for value in prdc(*self.tables(), self.k, self.inclusive))
        return a, b, c, d


class _Part(NamedTuple):
    """Some of a cloud's points (b, d) in float32 about the common centre, and their squared lengths (b,)."""

    points: Tensor
    squares: Tensor

    def distances(self, other: _Part) -> tuple[Tensor, Tensor]:
        """Squared distances (a, b) in float32, and what rounding may have done to each row of them (a, 1).

        An inner product of d terms is off by about sqrt(d) 2^-24 |x| |y| (Higham & Mary 2019).
        """
        squares, others = self.squares[:, None], other.squares[None]
        found = torch.addmm(others, self.points, other.points.T, alpha=-2).add_(squares)
        rounding = _SURE * self.points.shape[1] ** 0.5 * 2.0**-24
        return found, rounding * (squares + others.max())


class _Cloud:
    """A set of points, as given, of which parts are had in float32 about a centre: one rounding a coordinate."""

    def __init__(self, points: Tensor, centre: Tensor) -> None:
        self.points, self._centre = points, centre.to(torch.promote_types(points.dtype, torch.float32))
        # Filled in place: small tensors kept between freed blocks would leave a heap of pieces too small for the next.
        self._squares = torch.empty(len(points), dtype=torch.float64, device=points.device)
        for rows in blocks(len(points)):
            self._squares[rows] = self._centred(rows).double().square().sum(dim=1)

    def _centred(self, rows: slice) -> Tensor:
        return (self.points[rows] - self._centre).float()

    def part(self, rows: slice) -> _Part:
        return _Part(self._centred(rows), self._squares[rows].float())

    def exactly(self, other: _Cloud, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared distances of pairs of indices (p,), in float64."""
        found = [
            (self.points[rows[part]].double() - other.points[columns[part]].double()).square().sum(dim=1)
            for part in blocks(len(rows), BLOCK * 4)
        ]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64, device=rows.device)


class _Balls:
    """Around every point of a cloud, out to its k-th neighbour, itself not counted.

    squared radii (n, 1) in float32 with what rounding may have done to them; in float64 where someone asks.
    """

    def __init__(self, cloud: _Cloud, k: int) -> None:
        n = len(cloud.points)
        self.cloud, self.k = cloud, k
        self.kept = min(n, k + 1 + _SPARE)
        self.best = torch.full((n, self.kept), torch.inf, device=cloud.points.device)
        self.index = torch.zeros(n, self.kept, dtype=torch.int64, device=cloud.points.device)
        self.slack = torch.zeros(n, 1, device=cloud.points.device)
        for rows in blocks(n):
            some = cloud.part(rows)
            for columns in blocks(n):
                if columns.start < rows.start:
                    continue
                distances, slack = some.distances(some if columns == rows else cloud.part(columns))
                self._offer(rows, columns, distances, slack)
                if columns != rows:
                    self._offer(columns, rows, distances.T, slack.max())
        self.radii = self.best[:, k, None]
        self._exact = torch.full((n,), torch.nan, dtype=torch.float64, device=cloud.points.device)

    def _offer(self, rows: slice, columns: slice, distances: Tensor, slack: Tensor) -> None:
        self.slack[rows] = self.slack[rows].maximum(slack)
        near, where = distances.topk(min(self.kept, distances.shape[1]), dim=1, largest=False, sorted=False)
        candidates = torch.cat([self.best[rows], near], dim=1)
        places = torch.cat([self.index[rows], where + columns.start], dim=1)
        self.best[rows], chosen = candidates.topk(self.kept, dim=1, largest=False)
        self.index[rows] = places.gather(1, chosen)

    def exactly(self, rows: Tensor) -> Tensor:
        """Squared radii of balls (p,), in float64, each computed once."""
        new = torch.unique(rows)
        new = new[self._exact[new].isnan()]
        for some in blocks(len(new)):
            part = new[some]
            pairs = self.cloud.exactly(self.cloud, part.repeat_interleave(self.kept), self.index[part].flatten())
            self._exact[part] = pairs.view(-1, self.kept).sort(dim=1).values[:, self.k]
        # A point that was left out is no nearer than the last one kept, but for rounding.
        beyond = self.best[new, -1].double() - self.slack[new, 0]
        everyone = torch.arange(len(self._exact), device=rows.device)
        if self.kept < len(everyone):
            for row in new[beyond <= self._exact[new]].tolist():
                distances = self.cloud.exactly(self.cloud, torch.full_like(everyone, row), everyone)
                self._exact[row] = distances.kthvalue(self.k + 1).values
        return self._exact[rows]

    def contain(
        self, other: _Cloud, rows: slice, columns: slice, distances: Tensor, slack: Tensor, inclusive: bool
    ) -> Tensor:
        """(a, b) bool: which points of another cloud lie in which balls, given their squared distances (a, b)."""
        radii, margin = self.radii[rows], slack + self.slack[rows]
        inside = distances < radii - margin
        unsure = (inside ^ (distances <= radii + margin)).nonzero()
        if len(unsure):
            ball, point = unsure.unbind(1)
            limit = self.exactly(ball + rows.start)
            exact = self.cloud.exactly(other, ball + rows.start, point + columns.start)
            inside[ball, point] = exact <= limit if inclusive else exact < limit
        return inside
