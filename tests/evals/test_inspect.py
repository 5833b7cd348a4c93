"""inspect on the bundled digits models, and on networks with a fault: what is right passes, what is wrong is named.

Exact models of every convention are in test_inspect_planted; most of the trained ones' tests are slow.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sigmascope.evals.data import DataSet, load_data
from sigmascope.evals.declaration import Declaration
from sigmascope.evals.denoiser import Denoiser, declare, wrap
from sigmascope.evals.inspect import Inspection, inspect
from sigmascope.evals.loading.diffusers import network_convention, read_convention
from sigmascope.evals.noise import Noise
from sigmascope.evals.schedules import Table
from sigmascope.fixtures.oracles import Mixture
from torch import Tensor, nn

MODELS = Path(__file__).parents[2] / "fixtures" / "models"


@pytest.fixture(scope="module")
def digits() -> DataSet:
    pytest.importorskip("sklearn")
    return load_data("python:sigmascope.fixtures.digits:heldout")


@dataclass(frozen=True)
class Bundled:
    """A bundled network and what its scheduler says of it."""

    network: Any
    declaration: Declaration

    def declared(self, **fields: Any) -> Denoiser:
        return declare(copy.deepcopy(self.network), Declaration(**fields).over(self.declaration), micro_batch=32)


def bundled(name: str) -> Bundled:
    import json

    import diffusers

    folder = MODELS / f"digits-{name}"
    network_folder = folder / ("transformer" if name == "flow" else "unet")
    kind = getattr(diffusers, json.loads((network_folder / "config.json").read_text())["_class_name"])
    network = kind.from_pretrained(network_folder, use_safetensors=True, low_cpu_mem_usage=False)
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    return Bundled(network, read_convention(scheduler).over(network_convention(network)))


@pytest.fixture(scope="module")
def eps() -> Bundled:
    return bundled("eps")


@pytest.fixture(scope="module")
def flow() -> Bundled:
    return bundled("flow")


def slow_but(light: Collection[str], names: Iterable[str]) -> list[Any]:
    """Parameters of which all but `light` are slow."""
    return [pytest.param(name, marks=() if name in light else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but(["eps"], ["eps", "v", "flow", "regressed"]))
def test_a_right_declaration_is_consistent(name: str, digits: DataSet) -> None:
    found = inspect(bundled(name).declared(), digits)
    assert found.mistakes == []
    assert min(found.ratios) < 0.6
    assert found.evaluations < 1200


NULL = "x, t, class_labels=zeros_like(class_labels)"

PLANTED_EPS: dict[str, tuple[dict[str, Any], str]] = {
    "v declared": ({"output": "v"}, "looks like eps, declared v"),
    "x0 declared": ({"output": "x0"}, "looks like eps, declared x0"),
    "the sign": ({"output": "-eps"}, "looks like eps, declared -eps"),
    "score declared": ({"output": "score"}, "looks like eps, declared score"),
    "reversed time": ({"time": "999 - t"}, "time runs the other way"),
    "index shifted by 25": ({"time": "t + 25"}, "index is shifted.*too high|index is shifted.*too low"),
    "index shifted by -50": ({"time": "t - 50"}, "index is shifted"),
    "index shifted by one": ({"time": "index + 1"}, "shifted by one"),
    "time in [0, 1]": ({"time": "t/1000"}, "another scale"),
    "log-SNR as time": ({"time": "log_snr"}, "time looks like t"),
    "[0, 1] declared": ({"data_range": (0.0, 1.0)}, r"data in \[-1, 1\], declared \[0, 1\]"),
    "[-0.5, 0.5] declared": ({"data_range": (-0.5, 0.5)}, r"data in \[-1, 1\], declared \[-0.5, 0.5\]"),
    "scaled_linear declared": ({"path": "scaled_linear"}, "path looks like linear"),
    "cosine declared": ({"path": "cosine_betas"}, "path looks like linear"),
    "labels dropped": ({"call": NULL}, "labels do not reach"),
}


@pytest.mark.parametrize("plant", slow_but(["v declared"], PLANTED_EPS))
def test_mistakes_on_the_eps_model_are_named(plant: str, eps: Bundled, digits: DataSet) -> None:
    fields, expected = PLANTED_EPS[plant]
    assert_named(inspect(eps.declared(**fields), digits), expected)


PLANTED_V: dict[str, tuple[dict[str, Any], str]] = {
    "eps declared": ({"output": "eps"}, "looks like v, declared eps"),
    "the sign": ({"output": "-v"}, "looks like v, declared -v"),
    "reversed time": ({"time": "999 - t"}, "time runs the other way"),
    "index shifted by 25": ({"time": "t + 25"}, "index is shifted"),
    "index shifted by minus one": ({"time": "t - 1"}, "shifted by one"),
    "[0, 1] declared": ({"data_range": (0.0, 1.0)}, r"data in \[-1, 1\], declared \[0, 1\]"),
    "labels dropped": ({"call": NULL}, "labels do not reach"),
}


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTED_V)
def test_mistakes_on_the_v_model_are_named(plant: str, digits: DataSet) -> None:
    fields, expected = PLANTED_V[plant]
    assert_named(inspect(bundled("v").declared(**fields), digits), expected)


PLANTED_FLOW: dict[str, tuple[dict[str, Any], str]] = {
    "data at 1": ({"path": "flow_matching"}, "other way|path looks like rectified_flow"),
    "reversed time": ({"time": "1000*(1 - t)"}, "other way"),
    "eps declared": ({"output": "eps"}, "looks like flow, declared eps"),
    "the sign": ({"output": "x0 - eps"}, "looks like flow"),
    "time in [0, 1]": ({"time": "t"}, "another scale"),
    "time shifted": ({"time": "1000*t + 50"}, "time or index is shifted"),
    "[0, 1] declared": ({"data_range": (0.0, 1.0)}, r"data in \[-1, 1\]"),
    "variance preserving": ({"path": "cosine", "output": "flow"}, "path looks like rectified_flow"),
}


@pytest.mark.parametrize("plant", slow_but(["data at 1"], PLANTED_FLOW))
def test_mistakes_on_the_flow_model_are_named(plant: str, flow: Bundled, digits: DataSet) -> None:
    fields, expected = PLANTED_FLOW[plant]
    assert_named(inspect(flow.declared(**fields), digits), expected)


def assert_named(found: Inspection, expected: str) -> None:
    import re

    said = " | ".join(found.mistakes + found.notes)
    assert re.search(expected, said), said or f"nothing found; ratios {found.ratios}"


@pytest.mark.slow
def test_labels_of_other_classes_are_named(eps: Bundled, digits: DataSet) -> None:
    assert digits.labels is not None
    shifted = DataSet(digits.images, (digits.labels + 1) % 10, "shifted")
    assert_named(inspect(eps.declared(), shifted), "labels are shifted: -1")


@pytest.mark.slow
def test_classes_not_declared_are_named(eps: Bundled, digits: DataSet) -> None:
    network = eps.network
    undeclared = Declaration(classes=None, call="x, t, class_labels=int(0*t)").over(
        Declaration(**{**vars(eps.declaration), "classes": None})
    )
    assert_named(
        inspect(declare(copy.deepcopy(network), undeclared, micro_batch=32), digits), "conditioning is dropped"
    )


@pytest.mark.slow
def test_data_in_0_1_is_named(eps: Bundled, digits: DataSet) -> None:
    assert_named(
        inspect(eps.declared(), DataSet(digits.images / 2 + 0.5, digits.labels, "halves")), r"lies in \[0, 1\]"
    )


@pytest.mark.slow
def test_a_model_in_train_mode_is_named(eps: Bundled, digits: DataSet) -> None:
    network = copy.deepcopy(eps.network).train()
    found = inspect(declare(network, eps.declaration, micro_batch=32), digits)
    assert_named(found, "came in train mode")
    assert not found.mistakes  # it is put in eval mode


@pytest.mark.slow
def test_a_hidden_module_in_train_mode_is_named(eps: Bundled, digits: DataSet) -> None:
    network = copy.deepcopy(eps.network).train()
    hidden = {"deep": [network]}
    call: Callable[..., Any] = lambda x, t, cond: hidden["deep"][0](x, t, **cond)  # noqa: E731
    declaration = Declaration(call=call).over(eps.declaration)
    assert_named(inspect(declare(lambda: None, declaration, micro_batch=32), digits), "train mode")


def points() -> DataSet:
    oracle = Mixture(torch.linspace(-1.0, 1.0, 12, dtype=torch.float64), 0.1)
    return DataSet(oracle.data(torch.arange(64), Noise(1)).float(), None, "oracle")


class Faulty(nn.Module):
    """A linear filter with a fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.norm = nn.BatchNorm1d(12)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if self.fault == "weights":
            with torch.no_grad():
                self.gain.mul_(0.999)
        if self.fault == "data":
            self.gain.data = self.gain.data * 0.999
        if self.fault == "random":
            x = x + torch.randn_like(x)
        if self.fault == "batch":
            x = x - x.mean(0)
        return self.gain * x / (1 + t[:, None] ** 2)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("weights", "changed itself in a forward: gain"),
        ("data", "changed itself in a forward: gain"),
        ("random", "not deterministic"),
        ("batch", "rest of the batch"),
    ],
)
def test_faults_of_a_forward_are_named(fault: str, expected: str) -> None:
    data = points()
    assert_named(inspect(wrap(Faulty(fault), "edm", "x0", (12,), micro_batch=32), data), expected)


def test_a_model_that_learnt_nothing_is_said_not_to_denoise() -> None:
    data = points()
    weights = torch.randn(12, 12, generator=torch.Generator().manual_seed(0))
    found = inspect(wrap(lambda x, t: 3 * x @ weights, "edm", "x0", (12,), micro_batch=32), data)
    assert_named(found, "does not denoise|looks like|scale|range|time")
    assert max(found.ratios) > 1


def test_a_table_that_counts_from_zero() -> None:
    """What a network receives is shown as it arrives."""
    betas = torch.linspace(1e-4, 0.02, 1000)
    denoiser = wrap(lambda x, t: x, Table.from_betas(betas), "eps", (12,), time="index")
    assert "0 (data) to 999 (noise)" in inspect(denoiser, points()).convention["time it receives"]
