"""The search over images: it keeps what it asked, asks settled levels no more, and never spends beyond its budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, measure
from sigmascope.evals.sequential import Look, Search, search
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

from .probes.proving import GAUSSIAN, SIGMAS, data_of

DATA = data_of(GAUSSIAN, 400)
MARGINS = np.full(len(SIGMAS), math.log1p(0.02))


def worse(by: float) -> Denoiser:
    """The optimal denoiser of data with variances that much larger: worse where the prior matters."""
    return as_denoiser(Gaussian(GAUSSIAN.mean, GAUSSIAN.variances * by))


def subject(denoiser: Denoiser, seed: int = 0) -> Subject:
    return Subject(denoiser, DATA, SIGMAS, Noise(seed))


def looks(candidate: Denoiser, how: Search) -> list[Look]:
    return list(search(subject(as_denoiser(GAUSSIAN)), subject(candidate), how))


def test_errors_are_those_of_a_whole_pass_and_each_is_asked_once() -> None:
    candidate = worse(1.3)
    last = looks(candidate, Search(MARGINS, draws=2))[-1]
    rows = measure(subject(candidate), [], 2)
    whole = rows.pivot_table(index="image", columns="level", values="error").to_numpy()[last.images.numpy()]
    asked = ~np.isnan(last.candidate)
    np.testing.assert_allclose(last.candidate[asked], whole[asked], rtol=1e-12)
    assert last.evaluations == 2 * 2 * asked.sum()
    assert candidate.evaluations - whole.size * 2 == asked.sum() * 2
    assert (asked == ~np.isnan(last.baseline)).all()


def test_settled_levels_are_asked_no_more() -> None:
    """A little worse: the levels where the prior matters stay open longer than those where it does not."""
    last = looks(worse(1.1), Search(np.full(len(SIGMAS), 0.003)))[-1]
    asked = (~np.isnan(last.candidate)).sum(axis=0)
    assert asked.min() < asked.max()


def test_the_budget_holds() -> None:
    how = Search(np.full(len(SIGMAS), 1e-9), budget=2 * 70 * len(SIGMAS) + 5)
    found = looks(worse(1.0001), how)
    assert 2 * 69 * len(SIGMAS) < found[-1].evaluations <= 2 * 70 * len(SIGMAS) + 5


def test_a_model_against_itself_ends_at_the_first_look() -> None:
    found = looks(as_denoiser(GAUSSIAN), Search(MARGINS))
    assert len(found) == 1
    assert found[0].settled.passed.all()


def test_levels_that_no_rule_is_about_are_not_asked() -> None:
    margins = MARGINS.copy()
    margins[1:] = np.nan
    assert looks(worse(1.3), Search(margins))[-1].candidate.shape[1] == 1


@pytest.mark.parametrize("budget", [100, None])
def test_too_little_for_a_first_look_is_refused_before_any_evaluation(budget: int | None) -> None:
    few = data_of(GAUSSIAN, 30)
    denoiser = as_denoiser(GAUSSIAN)
    one = Subject(denoiser, few, SIGMAS, Noise(0))
    with pytest.raises(ConfigError, match="at least 64 images"):
        next(search(one, one, Search(MARGINS, budget=budget)))
    assert denoiser.evaluations == 0


def test_other_noise_is_refused() -> None:
    with pytest.raises(ConfigError, match="same levels and noise"):
        next(search(subject(as_denoiser(GAUSSIAN)), subject(as_denoiser(GAUSSIAN), 1), Search(MARGINS)))


def test_torch_is_left_as_it_was() -> None:
    state = torch.get_rng_state()
    looks(as_denoiser(GAUSSIAN), Search(MARGINS))
    assert torch.equal(state, torch.get_rng_state())
