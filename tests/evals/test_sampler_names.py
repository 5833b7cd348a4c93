"""A sampler's name with arguments: read safely, refused with the choices, kept as the plain string it is."""

from __future__ import annotations

import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.conditioning import Guidance, guided
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import DDIM, SOLVERS, DiffusersScheduler, EDMChurn, UniPC, arguments, sample, solver
from sigmascope.evals.schedules import EDM


def test_arguments_reach_the_solver() -> None:
    method = solver("ddim(eta=0.5)")
    assert isinstance(method, DDIM)
    assert method.eta == 0.5
    assert method.stochastic
    method = solver("edm_churn(s_churn=10, s_tmax=inf)")
    assert isinstance(method, EDMChurn)
    assert (method.s_churn, method.s_tmin, method.s_tmax) == (10, 0.05, float("inf"))
    method = solver("unipc(3)")
    assert isinstance(method, UniPC)
    assert method.order == 3
    method = solver("diffusers:DDIMScheduler(clip_sample=False, use_clipped_model_output=True)")
    assert isinstance(method, DiffusersScheduler)
    assert method.options == {"clip_sample": False}


def test_every_argument_has_a_default() -> None:
    assert arguments(SOLVERS["dpmpp_sde"]) == {"eta": 1.0, "r": 0.5}
    for name in SOLVERS:
        assert solver(name + "()").__class__ is solver(name).__class__
        assert all(isinstance(value, (int, float, bool)) for value in arguments(SOLVERS[name]).values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ddim(et=1)", "unknown argument 'et'; expected eta=0.0"),
        ("edm_churn(churn=1)", "expected s_churn=40.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003"),
        ("ddim(0.5, eta=1)", "expected 'eta' once, got it twice"),
        ("ddim(eta=1, eta=0)", "every argument once and by name, got eta"),
        ("ddim(**{'eta': 1})", r"every argument once and by name, got \*\*"),
        ("ddim('a')", "eta: expected a float, got 'a'"),
        ("ddim(eta=True)", "eta: expected a float, got True"),
        ("unipc(order=2.0)", "order: expected a int, got 2.0"),
        ("ddim(eta=open('x'))", r"expected a number or a word in quotes, got open\('x'\)"),
        ("ddim(eta=__import__('os').getcwd())", "expected a number or a word in quotes"),
        ("euler(1)", "too many arguments; expected none"),
        ("ddim(", r"expected NAME\(ARGUMENT=VALUE, \.\.\.\), got 'ddim\('"),
        ("ddim()(1)", r"expected NAME\(ARGUMENT=VALUE"),
        ("dim(eta=1)", "unknown sampler 'dim'.*did you mean 'ddim'"),
        ("ddim(eta=-1e400)", "eta: expected within"),
        ("diffusers:DDIMScheduler(0.1)", "expected options by name, got 0.1"),
        ("diffusers:DDIMScheduler(clip=False)", "unknown option 'clip'; expected one of .*clip_sample"),
        ("diffusers:Nothing(clip=False)", "unknown diffusers scheduler 'Nothing'"),
    ],
)
def test_what_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        solver(name)


@pytest.mark.parametrize("name", [*SOLVERS])
def test_guidance_works_with_every_solver(name: str) -> None:
    """A network that answers its label: under guidance x0 is null + w (label - null) where it acts, and the label else.

    Every solver's last word is D, or tends to it, so its samples say which.
    """
    denoiser = wrap(
        lambda x, t, class_labels: class_labels[:, None].expand_as(x).to(x), EDM(0.01, 20.0), "x0", (2,), classes=9,
        dtype=torch.float64, micro_batch=4,
    )  # fmt: skip
    cond = {"class_labels": torch.tensor([3, 1])}
    setting = {"steps": 3, "cond": cond, "dtype": torch.float64}
    for interval, expected in (((0.0, float("inf")), [5.0, 1.0]), ((1.0, float("inf")), [3.0, 1.0])):
        one = guided(denoiser, Guidance(2.0, {"class_labels": 1}, interval))
        images = sample(one, solver(name), torch.arange(2), Noise(0), **setting).images
        mean = torch.tensor(expected, dtype=torch.float64)[:, None].expand(2, 2)
        # LMS extrapolates the jump at the interval's edge by the ratio of its steps
        loose = 3.0 if name == "lms" else 0.1
        assert bool(((images - mean).abs() < loose).all()), interval
