"""P11, sigma mismatch: would the network do better if it were told another noise level than the true one?

The same noisy images, denoised as if their level were s' = f s, for seven factors f = 2^(-1) ... 2^1:

    shift   how far log s' should be moved, to first order: E <x0 - D, D'> / E |D'|^2 with D' = dD / d log s', Gauss and
            Newton's step. 0 for the best denoiser. Positive: the network takes the level it is told for a lower one
    gain    share of the denoising error that this step would remove, E <x0 - D, D'>^2 / (E |D'|^2 E |D - x0|^2); 0
    error   E |D(x; s') - x0|^2 / E |D(x; s) - x0|^2 for each factor but 1: which is best, where one step is too short

The best denoiser's residual x0 - D is orthogonal to every function of x, so `shift` is 0 whatever stands for D': here
the difference between the factors on both sides. For O1 the error is
sum (s'^2 / (l + s'^2))^2 l + (l / (l + s'^2))^2 s^2.

Factors that leave the model's range of noise are not scored, and there D' is one-sided; a table's levels are those that
it really uses. Six further evaluations, fewer at the ends.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...metrics.intervals import Floats
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts, mean_product, mean_square, ratio

_STEP = math.log(2.0) / 3.0
_REACH = 3
_FACTORS = range(-_REACH, _REACH + 1)


def _gain(dot: Floats, norm: Floats, error: Floats) -> Floats:
    share: Floats = dot**2 / (norm * error)
    return share


@PROBES.register("mismatch")
class Mismatch(Probe):
    name = "mismatch"
    evaluations = 2 * _REACH
    quantities = (
        Quantity("shift", ("dot", "norm"), ratio, optimal=0.0),
        Quantity("gain", ("dot", "norm", "error"), _gain, optimal=0.0),
        *(
            Quantity("error", (f"error{factor:+d}", "error"), ratio, slice=f"{math.exp(factor * _STEP):.2f} sigma")
            for factor in _FACTORS
            if factor
        ),
    )

    def __init__(self, images: int = 128) -> None:
        counts("mismatch", images=images)
        self.images = images

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        place, answers = self._answers(seen, subject)
        row = torch.arange(len(seen))
        before = torch.where(place[_REACH - 1].isnan(), _REACH, _REACH - 1)
        after = torch.where(place[_REACH + 1].isnan(), _REACH, _REACH + 1)
        # a way of 0, where a model has no other level, leaves 0 / 0: not scored
        way = place[after, row] - place[before, row]
        inverse = torch.where(way > 0, 1.0 / way, 0.0).to(answers.device)
        before, after, row = (number.to(answers.device) for number in (before, after, row))
        change = answers[after, row] - answers[before, row]
        columns = {
            "dot": mean_product(seen.x0 - seen.prediction.x0, change) * inverse,
            "norm": mean_square(change) * inverse**2,
            "error": seen.error,
        }
        others = [(number, factor) for number, factor in enumerate(_FACTORS) if factor]
        return columns | {f"error{factor:+d}": mean_square(answers[number] - seen.x0) for number, factor in others}

    def _answers(self, seen: Evaluations, subject: Subject) -> tuple[Tensor, Tensor]:
        """(log s' / s really used, D as told s') for each factor: `(factors, B, ...)`, NaN out of the model's range."""
        schedule, sigma, centre = subject.denoiser.schedule, seen.level.sigma, seen.prediction.x0
        place = torch.full((len(_FACTORS), len(seen)), torch.nan, dtype=torch.float64)
        answers = centre.new_full((len(_FACTORS), *centre.shape), torch.nan)
        place[_REACH], answers[_REACH] = 0.0, centre
        for number, factor in enumerate(_FACTORS):
            told = sigma * math.exp(factor * _STEP)
            rows = torch.nonzero((told >= schedule.sigma_min) & (told <= schedule.sigma_max)).flatten()
            if factor and len(rows):
                part, level = seen[rows], subject.denoiser.level(told[rows])
                place[number, rows] = torch.log(level.sigma / sigma[rows])
                answers[number, rows.to(answers.device)] = subject.ask(part.scaled, level, part.cond).x0
        return place, answers
