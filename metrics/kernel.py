"""Kernel distance: squared maximum mean discrepancy with the kernel (x'y/d + 1)^3; KID on Inception features.

    MMD^2 = E k(x, x') - 2 E k(x, r) + E k(r, r')         (Binkowski et al. 2018, 1801.01401; Gretton et al. 2012)

Features of two sets -> kernel_distance_influence (all samples, unbiased, with its interval) or kernel_distance_subsets
(the mean over random subsets that torch-fidelity and others print). Gram matrices are made in blocks and never kept: a
subset's sum is w'Kw for its indicator w, so one pass over the blocks serves all subsets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from .intervals import Influence
from .protocols import TORCH_FIDELITY, Subsets
from .two_sets import FeatureTables, blocks, checked_pair

Kernel = Callable[[Tensor, int], Tensor]
"""Inner products (a, b) in float64 and the dimension -> kernel values (a, b); it may overwrite its argument."""


class SubsetDistances(NamedTuple):
    """Mean and standard deviation (ddof 0) over the subsets. The latter is no error of the mean: it doesn't shrink
    with the number of samples, and is several times the standard error of the distance of all samples."""

    mean: float
    std: float


def cubic(products: Tensor, dimension: int) -> Tensor:
    return products.div_(dimension).add_(1).pow_(3)


def kernel_distance(generated: Tensor, real: Tensor) -> float:
    """Unbiased squared MMD of features (n, d) and (m, d), all of them; it may fall below 0. Raises DataError."""
    return kernel_distance_influence(generated, real).value


def kernel_distance_influence(generated: Tensor, real: Tensor, kernel: Kernel = cubic) -> Influence:
    """The same with one influence value per generated sample, for a fixed real set; it has no bias.

    psi_i = 2 [mean_{j != i} k(x_i, x_j) - mean_j k(x_i, r_j)], centred. Raises DataError for fewer than 2 samples.
    """
    x, r = checked_pair(generated, real)
    n, m = len(x), len(r)
    within, diagonal = kernel_products(x, x, kernel, _ones(x))
    others, reference_diagonal = kernel_products(r, r, kernel, _ones(r))
    across, _ = kernel_products(x, r, kernel, _ones(r))
    own = (within[:, 0] - diagonal) / (n - 1)
    other = across[:, 0] / m
    constant = float(others.sum() - reference_diagonal.sum()) / (m * (m - 1))
    psi = (2 * (own - other)).cpu().numpy()
    return Influence(float(own.mean() - 2 * other.mean()) + constant, 0.0, psi - psi.mean())


def kernel_distance_subsets(generated: Tensor, real: Tensor, subsets: Subsets = TORCH_FIDELITY) -> SubsetDistances:
    """Mean and spread of the unbiased estimate over random subsets: by default torch-fidelity's KID, to the digit.

    Raises ConfigError for sets smaller than a subset and for subsets of fewer than 2.
    """
    x, r = checked_pair(generated, real)
    smaller = min(len(x), len(r))
    size = min(subsets.size, smaller) if subsets.fit else subsets.size
    if not (2 <= size <= smaller and subsets.count >= 1):
        raise ConfigError(
            f"expected at least 1 subset of 2 to {smaller} samples, the smaller set, got {subsets.count} of {size}"
        )
    drawn = _draw(x, r, subsets, size)
    # One Gram matrix for all subsets, or one for each: whichever has fewer entries.
    whole = len(x) * len(x) + len(r) * len(r) <= 2 * subsets.count * size * size
    found = _from_whole(x, r, drawn) if whole else torch.stack([_of_subset(x[a], r[b]) for a, b in drawn])
    return SubsetDistances(float(found.mean()), float(found.std(correction=0)))


class KernelDistance(FeatureTables):
    """Kernel distance of two streams of features (n, d): over all samples, or as `subsets` has it.

    compute(): a pair of float64 scalars: value and standard error, or mean and standard deviation over subsets.
    """

    higher_is_better = False

    def __init__(self, subsets: Subsets | None = None) -> None:
        super().__init__()
        self.subsets = subsets

    def compute(self) -> tuple[Tensor, Tensor]:
        generated, real = self.tables()
        if self.subsets is not None:
            mean, std = kernel_distance_subsets(generated, real, self.subsets)
            return self.scalar(mean), self.scalar(std)
        influence = kernel_distance_influence(generated, real)
        return self.scalar(influence.value), self.scalar(influence.standard_error)


def kernel_products(x: Tensor, y: Tensor, kernel: Kernel, weights: Tensor) -> tuple[Tensor, Tensor]:
    """K @ weights (n, s) and, where y is x, the diagonal of K (n,): in float64, K in blocks, half of it where y is x.

    Inner products too, which cost twice float32's: a distance near 0 is a small difference of large kernel values.
    """
    symmetric = y is x
    products = torch.zeros(len(x), weights.shape[1], dtype=torch.float64, device=x.device)
    diagonal = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for rows in blocks(len(x)):
        some = x[rows].double()
        for columns in blocks(len(y)):
            if symmetric and columns.start < rows.start:
                continue
            gram = kernel(some @ y[columns].double().T, x.shape[1])
            products[rows] += gram @ weights[columns]
            if symmetric and columns == rows:
                diagonal[rows] = gram.diagonal()
            elif symmetric:
                products[columns] += gram.T @ weights[rows]
    return products, diagonal


def _draw(x: Tensor, r: Tensor, subsets: Subsets, size: int) -> list[tuple[Tensor, Tensor]]:
    """Indices into x and r, subset by subset, as the library in question draws them."""
    numpy, torch_ = np.random.RandomState(subsets.seed), torch.Generator().manual_seed(subsets.seed)

    def one(table: Tensor) -> Tensor:
        if subsets.library == "torch":
            return torch.randperm(len(table), generator=torch_)[:size].to(table.device)
        return torch.from_numpy(numpy.choice(len(table), size, replace=False)).to(table.device)

    if subsets.first == "generated":
        return [(one(x), one(r)) for _ in range(subsets.count)]
    return [(b, a) for a, b in ((one(r), one(x)) for _ in range(subsets.count))]


def _from_whole(x: Tensor, r: Tensor, drawn: list[tuple[Tensor, Tensor]]) -> Tensor:
    size = len(drawn[0][0])
    chosen_x, chosen_r = (_indicators(t, [pair[side] for pair in drawn]) for side, t in enumerate((x, r)))
    means = []
    for table, chosen in ((x, chosen_x), (r, chosen_r)):
        products, diagonal = kernel_products(table, table, cubic, chosen)
        means.append(((chosen * products).sum(dim=0) - diagonal @ chosen) / (size * (size - 1)))
    across, _ = kernel_products(x, r, cubic, chosen_r)
    return means[0] + means[1] - 2 * (chosen_x * across).sum(dim=0) / size**2


def _of_subset(x: Tensor, r: Tensor) -> Tensor:
    size = len(x)
    means = []
    for table in (x, r):
        products, diagonal = kernel_products(table, table, cubic, _ones(table))
        means.append((products.sum() - diagonal.sum()) / (size * (size - 1)))
    return means[0] + means[1] - 2 * kernel_products(x, r, cubic, _ones(r))[0].sum() / size**2


def _indicators(table: Tensor, chosen: list[Tensor]) -> Tensor:
    """(n, subsets): 1 where a sample belongs to a subset."""
    indicators = torch.zeros(len(table), len(chosen), dtype=torch.float64, device=table.device)
    for column, rows in enumerate(chosen):
        indicators[rows, column] = 1
    return indicators


def _ones(table: Tensor) -> Tensor:
    return torch.ones(len(table), 1, dtype=torch.float64, device=table.device)
