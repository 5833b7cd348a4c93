"""The declaration: names, formulas, tables and functions mean what they say; what can't be right lists the choices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.declaration import Declaration, resolve
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.levels import broadcast
from sigmascope.evals.parameterization import edm
from sigmascope.evals.paths import FlowMatching, path
from sigmascope.evals.schedules import EDM, VP, Cosine, RectifiedFlow, Table
from sigmascope.evals.suite import read_suite
from torch import Tensor, nn


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edm", EDM()),
        ("edm(0.01, 50)", EDM(0.01, 50.0)),
        ("vp", VP()),
        ("vp(beta_max=10)", VP(0.1, 10)),
        ("cosine", Cosine()),
        ("rectified_flow", RectifiedFlow()),
        ("flow_matching", FlowMatching()),
    ],
)
def test_paths_by_name(name: str, expected: object) -> None:
    assert path(name) == expected


def test_a_path_of_functions_is_the_schedule_it_copies() -> None:
    """Bisection to 2^-64 of the span; central differences to 1e-9."""
    copied = path(Cosine().coefficients)
    made = path((lambda t: torch.cos(t), lambda t: torch.sin(t), 0.0, math.pi / 2))
    sigmas = torch.tensor([0.01, 1.0, 50.0], dtype=torch.float64)
    assert torch.allclose(copied.at(sigmas).time, Cosine().at(sigmas).time, rtol=1e-9)
    assert torch.allclose(made.at(sigmas).sigma, sigmas, rtol=1e-9)
    slopes = made.at(sigmas)
    assert slopes.d_alpha is not None
    assert torch.allclose(slopes.d_alpha, -torch.sin(slopes.time), atol=1e-8)


def test_functions_of_numpy_and_of_reversed_time() -> None:
    made = path(lambda t: (np.asarray(t), 1 - np.asarray(t)))
    assert (made.first, made.last) == (1.0, 0.0)
    assert float(made.at(1.0).time) == pytest.approx(0.5)


def test_tables_by_key() -> None:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    same = path("linear").sigma_max
    assert path({"betas": betas.tolist()}).sigma_max == pytest.approx(same, rel=1e-12)
    assert path({"alphas_cumprod": (1 - betas).cumprod(0)}).sigma_max == pytest.approx(same, rel=1e-9)
    assert path({"sigmas": [0.1, 1.0, 10.0]}).sigma_max == pytest.approx(10.0)


def given(time: Any, where: str = "linear", at: float = 250.0) -> Tensor:
    resolved = resolve(Declaration(where, "eps", (2,), time))
    return resolved.time(resolved.schedule(at))


def test_time_formulas() -> None:
    sigma = float(path("linear")(250.0).sigma)
    assert float(given("t")) == 250
    assert float(given("log(sigma)/4")) == pytest.approx(math.log(sigma) / 4)
    assert float(given("log_snr")) == pytest.approx(-2 * math.log(sigma))
    assert given("T - 1 - index") == 749
    assert given("index").dtype == torch.int64
    assert float(given("999*t", "rectified_flow", 0.25)) == pytest.approx(249.75)
    assert given("int(999*t)", "rectified_flow", 0.25) == 250
    assert given(list(range(0, 4000, 4))) == 1000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "vpp"}, "did you mean 'vp'.*one of"),
        ({"path": "vp(1, 2, 3, 4, 5)"}, "vp"),
        ({"path": {"beta": [1.0]}}, "alphas_cumprod, betas, sigmas"),
        ({"path": 3}, "path: expected a name"),
        ({"output": "noise"}, "unknown parameterization 'noise'.*eps"),
        ({"output": "epsilon"}, "unknown parameterization 'epsilon'.*eps, flow"),
        ({"output": "logits"}, "tokens.*Gaussian"),
        ({"output": "x0*eps"}, "linear in x0 and eps"),
        ({"output": {"c_skip": "1"}}, "c_skip, c_out and c_in"),
        ({"time": "tau"}, "time: unknown name 'tau'.*log_snr"),
        ({"time": "index"}, "unknown name 'index'"),
        ({"time": "__import__('os')"}, "unknown function"),
        ({"time": "t.real.numpy().tofile('x')"}, "may not"),
        ({"call": "x, t, y="}, "call: expected arguments"),
        ({"call": "nothing(x, t)"}, "no method 'nothing'"),
        ({"call": "_private(x)"}, "no method"),
        ({"pick": ".__class__"}, "may not"),
        ({"data_range": (1.0, 0.0)}, "data_range: expected two rising"),
        ({"off_grid": "snap"}, "expected a path that is a table"),
        ({"time_shape": "(B,2)"}, r"time_shape: expected one of \(B,\)"),
        ({"batch": 0}, "batch: expected at least 1"),
        ({"dtype": "int8"}, "dtype: expected one of float64"),
        ({"event_shape": ()}, "event_shape: expected positive sizes"),
        ({"path": "linear", "time": "index", "off_grid": "interpolate"}, "knows no level between"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, Any], message: str) -> None:
    values = {"path": "vp", "output": "eps", "event_shape": (2,), **fields}

    def ask() -> None:
        denoiser = wrap(lambda x, t: x, **values)
        denoiser(torch.zeros(1, 2), denoiser.level(1.0))

    with pytest.raises(ConfigError, match=f"(?s){message}"):
        ask()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="output, event_shape not given"):
        wrap(lambda x, t: x, "vp")


@pytest.mark.parametrize(
    ("output", "where", "answer"),
    [
        ("x0 - eps", "rectified_flow", lambda x0, eps, s: x0 - eps),
        ("-flow", "rectified_flow", lambda x0, eps, s: x0 - eps),
        ("flow", "flow_matching", lambda x0, eps, s: x0 - eps),
        ("-v", "vp", lambda x0, eps, s: -(eps - s * x0) / (1 + s**2) ** 0.5),
        ("edm(0.7)", "edm", lambda x0, eps, s: (s * x0 - 0.49 * eps) / (0.7 * (s**2 + 0.49) ** 0.5)),
        (
            {"c_skip": "1/(sigma**2 + 1)", "c_out": "-sigma/sqrt(sigma**2 + 1)", "c_in": "1/sqrt(sigma**2 + 1)"},
            "edm",
            lambda x0, eps, s: (eps - s * x0) / (1 + s**2) ** 0.5,
        ),
    ],
)
def test_outputs_recover_x0(output: Any, where: str, answer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(4, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = 1.7
    denoiser = wrap(lambda x, t: answer(x0, eps, sigma), where, output, (2,), dtype="float64", micro_batch=4)
    level = denoiser.level(sigma)
    x_t = broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
    assert torch.allclose(denoiser(x_t, level), x0, atol=1e-9)


def test_a_preconditioned_network_is_fed_c_in() -> None:
    seen: list[Tensor] = []
    denoiser = wrap(lambda x, t: seen.append(x) or x, "edm", "edm(0.5)", (1,), micro_batch=1)  # type: ignore[func-returns-value]
    denoiser(torch.ones(1, 1), denoiser.level(2.0))
    assert float(seen[0]) == pytest.approx(1 / math.hypot(2.0, 0.5))
    assert edm(0.5).name == denoiser.parameterization.name


@pytest.mark.parametrize("where", ["edm(0.01, 10)", "linear", "rectified_flow"])
def test_a_network_on_0_1_stands_on_the_common_axis(where: str) -> None:
    """Data in [0, 1]: the network meets x/2 + 1/2 at half the sigma, and its x0 comes back in [-1, 1]."""
    x0 = torch.tensor([[0.5, -0.25]], dtype=torch.float64)
    eps = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append(x)
        return x0 / 2 + 0.5

    denoiser = wrap(network, where, "x0", (2,), data_range=(0, 1), dtype="float64", micro_batch=1)
    level = denoiser.level(0.8)
    assert float(level.sigma) == pytest.approx(0.8)
    x_t = broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps
    assert torch.allclose(denoiser(x_t, level), x0)
    assert torch.allclose(seen[0], level.alpha * (x0 / 2 + 0.5) + level.alpha * 0.4 * eps)


def test_calls_and_picks() -> None:
    class Odd(nn.Module):
        def velocity(self, t: Tensor, x: Tensor, extra: dict[str, Tensor]) -> dict[str, Tensor]:
            label = extra.pop("y")
            return {"out": torch.cat((x * label.reshape(-1, 1, 1), x), 1), "t": t}

    odd = wrap(
        Odd(), "vp", "x0", (2, 3), call="velocity(t, x, extra={'y': class_labels})", pick="['out'][:, :C]", classes=4
    )
    x = torch.ones(3, 2, 3)
    found = odd(x, odd.level(1.0), {"class_labels": torch.tensor([1, 2, 3])})
    assert found[:, 0, 0].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ConfigError, match="'class_labels' is not given"):
        odd(x, odd.level(1.0))


def test_snap_is_for_an_index_and_the_sigma_used_is_told() -> None:
    denoiser = wrap(lambda x, t: x, "linear", "eps", (1,), time="index")
    level = denoiser.level(1.0)
    assert float(level.time) == int(level.time)
    assert float(level.sigma) != 1.0
    assert float(level.sigma) == pytest.approx(1.0, rel=0.01)
    assert isinstance(denoiser.schedule, Table)
    refusing = wrap(lambda x, t: x, "linear", "eps", (1,), off_grid="refuse")
    with pytest.raises(ConfigError, match="one of the table's"):
        refusing.level(1.0)


@pytest.mark.parametrize(("shape", "expected"), [("()", ()), ("(B,1)", (4, 1)), ("(B,1,1,1)", (4, 1, 1, 1))])
def test_time_shapes(shape: Any, expected: tuple[int, ...]) -> None:
    seen = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append((tuple(t.shape), float(t.reshape(-1)[0])))
        return x * t if not t.ndim else x

    denoiser = wrap(network, "edm", "x0", (1,), time_shape=shape, batch=4)
    found = denoiser(torch.ones(3, 1), denoiser.level(torch.tensor([1.0, 2.0, 1.0])))
    assert all(entry[0] == expected for entry in seen)
    if not expected:
        assert found.flatten().tolist() == [1.0, 2.0, 1.0]


def test_autograd_in_place_and_half_precision() -> None:
    def energy(x: Tensor, t: Tensor) -> Tensor:
        x = x.requires_grad_()
        return x - torch.autograd.grad((0.25 * x**2).sum(), x)[0]

    def overwrite(x: Tensor, t: Tensor) -> Tensor:
        return x.mul_(0.5)

    x = torch.ones(3, 2)
    for network, fields in ((energy, {"grad": True}), (overwrite, {})):
        denoiser = wrap(network, "edm", "x0", (2,), **fields)
        with torch.inference_mode():
            assert torch.equal(denoiser(x, denoiser.level(1.0)), 0.5 * x)
        assert torch.equal(x, torch.ones(3, 2))
    half = wrap(nn.Linear(2, 2).bfloat16(), "edm", "x0", (2,), call="(x)")
    assert half.dtype == torch.bfloat16
    assert half(x, half.level(1.0)).dtype == torch.float32


def test_native_time_where_alpha_is_0() -> None:
    denoiser = wrap(lambda x, t: -x, "rectified_flow", "flow", (2,))
    pure = denoiser.level(time=1.0)
    assert torch.isinf(pure.sigma)
    assert torch.equal(denoiser(torch.ones(1, 2), pure), 2 * torch.ones(1, 2))
    with pytest.raises(ModelError, match="does not determine x0"):
        wrap(lambda x, t: x, "rectified_flow", "eps", (2,))(torch.ones(1, 2), pure)


def test_tokens_are_refused_with_a_reason() -> None:
    tokens = wrap(nn.Embedding(5, 3), "edm", "x0", (4,), call="(x)", dtype="float32")
    with pytest.raises(ModelError, match=r"integer tokens.*no Gaussian denoiser"):
        tokens(torch.zeros(1, 4), tokens.level(1.0))
    logits = wrap(lambda x, t: x[..., None].expand(*x.shape, 9), "edm", "x0", (4,))
    with pytest.raises(ModelError, match="logits over tokens"):
        logits(torch.zeros(1, 4), logits.level(1.0))


def test_a_learned_variance_is_pointed_at() -> None:
    twice = wrap(lambda x, t: torch.cat((x, x), 1), "edm", "x0", (3, 2, 2))
    with pytest.raises(ModelError, match=r"learned variance: pick='\[:, :C\]'"):
        twice(torch.zeros(1, 3, 2, 2), twice.level(1.0))


def test_the_same_fields_in_a_suite(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'schema = 1\nname = "s"\n[data]\nsource = "x"\n[probes]\n[[models]]\nname = "m"\n'
        'spec = "state_dict:w.pt"\nfactory = "torch.nn:Identity"\npath = "vp(0.1, 20)"\noutput = "v"\n'
        'event_shape = [3, 8, 8]\ntime = "999*t"\npick = ".sample"\ndata_range = [0, 1]\n'
    )
    declared = read_suite(tmp_path / "s.toml").models[0].declaration
    assert declared == Declaration("vp(0.1, 20)", "v", (3, 8, 8), "999*t", None, ".sample", (0.0, 1.0))
    wrong = (tmp_path / "s.toml").read_text().replace("vp(", "vpx(")
    (tmp_path / "s.toml").write_text(wrong)
    with pytest.raises(ConfigError, match="unknown path 'vpx'"):
        read_suite(tmp_path / "s.toml")


def test_a_path_of_formulas() -> None:
    """SiT's GVP path is the cosine path with offset 0, its time reversed; data is found where there is less noise."""
    gvp, circle = path({"alpha": "sin(pi*t/2)", "sigma_t": "cos(pi*t/2)"}), path("cosine(0)")
    assert (gvp.first, gvp.last) == (1.0, 0.0)
    times = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(gvp(1 - times).sigma, circle(times).sigma)
    torch.testing.assert_close(gvp.at(circle(times).sigma).time, 1 - times)
    with pytest.raises(ConfigError, match=r"path\.alpha: unknown name 'beta'"):
        path({"alpha": "beta", "sigma_t": "t"})


def test_an_unknown_field_lists_the_fields() -> None:
    with pytest.raises(ConfigError, match=r"unknown field 'times' \(did you mean 'time'\?\); fields are path, output"):
        wrap(lambda x, t: x, "edm", "x0", (2,), times="index")
