"""The search over images: it keeps what it asked, asks settled levels no more, and never spends beyond its budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.conditioning import Guidance, guided
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, measure
from sigmascope.evals.probes.adaptive import order_of
from sigmascope.evals.sequential import Answers, Look, Search, look_by_look, search
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

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
    whole = rows.pivot_table(index="image", columns="level", values="error").to_numpy()[order_of(400, Noise(0)).numpy()]
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


@pytest.mark.parametrize(
    ("images", "budget", "said"),
    [
        (30, None, "at least 64 images, the first look's, got 30"),
        (80, 100, rf"budget of at least {2 * 64 * len(SIGMAS):,} evaluations, .* 64 images at each of .* got 100"),
    ],
)
def test_too_little_for_a_first_look_is_refused_before_any_evaluation(
    images: int, budget: int | None, said: str
) -> None:
    denoiser = as_denoiser(GAUSSIAN)
    one = Subject(denoiser, data_of(GAUSSIAN, images), SIGMAS, Noise(0))
    with pytest.raises(ConfigError, match=said):
        next(search(one, one, Search(MARGINS, budget=budget)))
    assert denoiser.evaluations == 0


def test_guidance_that_acts_costs_twice_and_the_budget_holds() -> None:
    """Two classes, guided at scale 2 from sigma 0.5 on: the candidate's network is called twice there. The budget of
    one look at 64 images counts those, and so does what is said to be spent."""

    def labelled(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return 0.5 * x + 0.01 * y.reshape(-1, *[1] * (x.ndim - 1))

    plain = wrap(labelled, "edm", "x0", DATA.images.shape[1:], call="x, t, class_labels", classes=2, micro_batch=64)
    data = DataSet(DATA.images, torch.arange(len(DATA.images)) % 2, "oracle")
    acts = SIGMAS >= 0.5
    assert 0 < acts.sum() < len(SIGMAS)
    candidate = guided(plain, Guidance(2.0, {"class_labels": 0}, (0.5, math.inf)))
    both = [Subject(one, data, SIGMAS, Noise(0)) for one in (plain, candidate)]
    first = 64 * (2 * len(SIGMAS) + int(acts.sum()))
    tiny = np.full(len(SIGMAS), 1e-9)
    with pytest.raises(ConfigError, match=f"at least {first:,} evaluations"):
        next(search(*both, Search(tiny, budget=first - 1)))
    before = plain.evaluations
    found = list(search(*both, Search(tiny, budget=first + 20)))
    spent = plain.evaluations - before + candidate.evaluations
    assert found[-1].evaluations == spent
    assert first <= spent <= first + 20


def test_the_search_asks_for_what_it_is_told_no_matter_by_whom() -> None:
    """Errors from a table: each pair once, level by level and by image within, and none of a settled level."""
    rng = np.random.default_rng(0)
    base = rng.gamma(3.0, 1 / 3, (300, 3))
    theirs = base * np.exp([0.0, 0.2, 0.004] + 0.05 * rng.standard_normal((300, 3)))
    asked = np.zeros(base.shape, int)

    def ask(fresh: np.ndarray) -> Answers:
        asked[fresh] += 1
        return Answers(base.T[fresh.T], theirs.T[fresh.T], 5 * int(fresh.sum()))

    open_ended = np.full(3, math.log1p(0.01))
    *_, last = look_by_look(ask, 300, open_ended, np.full(3, 5.0))
    np.testing.assert_array_equal(asked == 1, ~np.isnan(last.baseline))
    assert asked.max() == 1
    assert last.evaluations == 5 * asked.sum()
    assert last.settled.failed.tolist() == [False, True, False]
    seen = ~np.isnan(last.candidate)
    np.testing.assert_array_equal(last.candidate[seen], theirs[seen])


def test_other_noise_is_refused() -> None:
    with pytest.raises(ConfigError, match="same levels and noise"):
        next(search(subject(as_denoiser(GAUSSIAN)), subject(as_denoiser(GAUSSIAN), 1), Search(MARGINS)))


def test_torch_is_left_as_it_was() -> None:
    state = torch.get_rng_state()
    looks(as_denoiser(GAUSSIAN), Search(MARGINS))
    assert torch.equal(state, torch.get_rng_state())
