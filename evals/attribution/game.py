"""The game of bands: what each band contributes, as weighted differences between the values v(T) of coalitions T.

coalitions -> Game -> contrasts -> inference.py. A contrast applies to values and to their influence values alike. With
v(T) the metric when the candidate has the bands in T and the base the rest:

    leave-one-in    v({k}) - v(none)               leave-one-out   v(all) - v(all but k)
    interaction     v({j, k}) - v({j}) - v({k}) + v(none)
    Shapley         sum over T without k of |T|! (K - |T| - 1)! / K! [v(T + k) - v(T)]          (Shapley 1953)

The Shapley values sum to v(all) - v(none). Switch curves give the candidate the bands above a switch, or below it;
the mean of a band's two steps is the Shapley value restricted to these two orders, and sums to the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from .stitching import Coalition

Floats = NDArray[np.float64]

MOST_EXACT = 6
"""Bands of which all coalitions are affordable: 21 full runs."""

Contrast = Sequence[tuple[float, Coalition, Coalition]]
"""A sum of weight * (v(first) - v(second)). Differences come first: of equal values nothing is left, not even rounding.
"""


@dataclass(frozen=True)
class Game:
    """Bands 0 .. count - 1 from most noise to least, and the coalitions that are evaluated."""

    count: int
    exact: bool
    """All 2^K coalitions, or those of the two switch curves."""

    def __post_init__(self) -> None:
        if self.exact and self.count > MOST_EXACT:
            raise ConfigError(
                f"bands: expected at most {MOST_EXACT} for exact Shapley values, got {self.count}; "
                "the switch curves alone (--screen) take any number"
            )

    @cached_property
    def coalitions(self) -> list[Coalition]:
        if self.exact:
            return list(itertools.product((False, True), repeat=self.count))
        return list(dict.fromkeys([*self.curve(above=True), *self.curve(above=False)]))

    def of(self, contrasts: Iterable[Contrast], table: Floats) -> Floats:
        """Contrasts of a table `(..., C)` with a column per coalition: `(..., R)`."""
        place = {coalition: index for index, coalition in enumerate(self.coalitions)}
        columns = [
            sum((weight * (table[..., place[first]] - table[..., place[second]]) for weight, first, second in terms))
            for terms in contrasts
        ]
        return np.stack(columns, axis=-1) if columns else np.zeros((*table.shape[:-1], 0))

    def curve(self, above: bool) -> list[Coalition]:
        """The coalitions of a switch curve, K + 1 from base alone to candidate alone."""
        return [
            tuple(band < switch if above else band >= self.count - switch for band in range(self.count))
            for switch in range(self.count + 1)
        ]

    @property
    def total(self) -> Contrast:
        """v(all) - v(none)."""
        return [(1.0, self._all, self._none)]

    @property
    def shapley(self) -> list[Contrast]:
        """Per band: exact, or over the orders of the two switch curves."""
        return [self._exact(band) if self.exact else self._switched(band) for band in range(self.count)]

    @property
    def leave_one_in(self) -> list[Contrast]:
        """Per band, of an exact game."""
        return [[(1.0, self._bands(band), self._none)] for band in range(self.count)]

    @property
    def leave_one_out(self) -> list[Contrast]:
        """Per band, of an exact game."""
        return [[(1.0, self._all, self._bands(*self._others(band)))] for band in range(self.count)]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(itertools.combinations(range(self.count), 2))

    @property
    def interactions(self) -> list[Contrast]:
        """In the order of `pairs`, of an exact game."""
        return [[(1.0, self._bands(j, k), self._bands(j)), (-1.0, self._bands(k), self._none)] for j, k in self.pairs]

    def switches(self, above: bool) -> list[Contrast]:
        """v along a switch curve less v(none)."""
        return [[(1.0, coalition, self._none)] for coalition in self.curve(above)]

    def _exact(self, band: int) -> Contrast:
        terms = []
        for size in range(self.count):
            weight = math.factorial(size) * math.factorial(self.count - size - 1) / math.factorial(self.count)
            for chosen in itertools.combinations(self._others(band), size):
                terms.append((weight, self._bands(*chosen, band), self._bands(*chosen)))
        return terms

    def _switched(self, band: int) -> Contrast:
        above, below, back = self.curve(above=True), self.curve(above=False), self.count - band
        return [(0.5, above[band + 1], above[band]), (0.5, below[back], below[back - 1])]

    def _others(self, band: int) -> list[int]:
        return [other for other in range(self.count) if other != band]

    @property
    def _none(self) -> Coalition:
        return (False,) * self.count

    @property
    def _all(self) -> Coalition:
        return (True,) * self.count

    def _bands(self, *chosen: int) -> Coalition:
        return tuple(band in chosen for band in range(self.count))
