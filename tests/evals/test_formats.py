"""Every format gives the network it was made from, and nothing of it stays in the process."""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sigmascope.errors import LoadError
from sigmascope.evals.declaration import Declaration
from sigmascope.evals.loading import LOADERS, Recipe, known_loaders, load
from sigmascope.evals.loading.diffusers import read_convention
from sigmascope.evals.planning import prepare
from sigmascope.evals.suite import read_suite
from torch import Tensor, nn

SOURCE = """
import torch
from torch import nn
from models.net import Net

def build():
    torch.manual_seed(0)
    return Net()
"""
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(3, 2)

    def forward(self, x, t):
        from torch_utils import half       # late, as real code does
        return half(self.inside(torch.cat((x, t[:, None]), 1)))
"""
DECLARED = Declaration("edm", "x0", (2,))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with names that many have."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "net.py").write_text(NET)
    (tmp_path / "torch_utils.py").write_text("def half(x):\n    return 0.5 * x\n")
    (tmp_path / "train.py").write_text(SOURCE)
    return tmp_path


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inside = nn.Linear(3, 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.inside(torch.cat((x, t[:, None]), 1))


def answer(spec: str, recipe: Recipe, batch: int = 4) -> Tensor:
    denoiser = load(spec, micro_batch=batch, recipe=recipe)
    return denoiser(torch.ones(3, 2), denoiser.level(2.0))


def expected() -> Tensor:
    return Net()(torch.ones(3, 2), torch.full((3,), 2.0)).detach()


def test_a_folder_of_source_stays_its_own(source: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    found = answer(f"python:{source / 'train.py'}:build", Recipe(DECLARED))
    assert torch.allclose(found, 0.5 * expected())
    leaked = {
        name for name in set(sys.modules) - before if name.partition(".")[0] in ("models", "torch_utils", "train")
    }
    assert not leaked
    assert sys.path == path


def test_a_module_beside_the_suite_needs_no_path(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an installed one of that name, in isolation, for models, factories, data; as a package too."""
    monkeypatch.syspath_prepend(source / "elsewhere")
    (source / "elsewhere").mkdir()
    (source / "elsewhere" / "train.py").write_text("raise RuntimeError('the other one')\n")
    (source / "images.py").write_text("import torch\ndef data():\n    return torch.zeros(4, 2)\n")
    (source / "models" / "made.py").write_text("from models.net import Net\ndef build():\n    return Net()\n")
    torch.save(Net().state_dict(), source / "w.pt")
    text = 'schema = 1\nname = "s"\n[probes]\nlevels = 2\n[data]\nsource = "python:images:data"\n'
    specs = ('spec = "python:train:build"', 'spec = "state_dict:w.pt"\nfactory = "models.made:build"')
    declared = 'path = "edm"\noutput = "x0"\nevent_shape = [2]\n'
    models = "".join(f'[[models]]\nname = "m{i}"\n{spec}\n{declared}' for i, spec in enumerate(specs))
    (source / "suite.toml").write_text(text + models)
    before, path = set(sys.modules), list(sys.path)
    plan = prepare(read_suite(source / "suite.toml"), source)
    for denoiser in plan.denoisers.values():
        found = denoiser.raw(torch.ones(3, 2), denoiser.level(2.0))
        assert torch.allclose(found, 0.5 * expected())
    assert not {name for name in set(sys.modules) - before if name.partition(".")[0] in ("models", "train", "images")}
    assert sys.path == path
    (source / "suite.toml").write_text((text + models).replace("train:", "trains:"))
    with pytest.raises(LoadError, match=rf"no module 'trains' in {source}; is it installed, or its folder on"):
        prepare(read_suite(source / "suite.toml"), source)


def test_two_folders_with_the_same_names(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for name in ("train.py", "torch_utils.py"):
        (other / name).write_text((source / name).read_text().replace("0.5", "0.25"))
    (other / "models").mkdir()
    (other / "models" / "net.py").write_text(NET)
    first = load(f"python:{source / 'train.py'}:build", recipe=Recipe(DECLARED))
    second = load(f"python:{other / 'train.py'}:build", recipe=Recipe(DECLARED))
    x = torch.ones(3, 2)
    for _ in range(2):
        assert torch.allclose(first(x, first.level(2.0)), 0.5 * expected())
        assert torch.allclose(second(x, second.level(2.0)), 0.25 * expected())


def test_weights_for_a_factory(source: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: value + 1 for name, value in Net().state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    torch.save(weights, tmp_path / "w.pt")
    torch.save({"step": 3, "ema": {f"module.{name}": value for name, value in weights.items()}}, tmp_path / "c.pt")
    recipe = Recipe(DECLARED, factory=f"{source / 'train.py'}:build")
    reference = Net()
    reference.load_state_dict(weights)
    wanted = 0.5 * reference(torch.ones(3, 2), torch.full((3,), 2.0)).detach()
    for spec in (f"safetensors:{tmp_path}/w.safetensors", f"state_dict:{tmp_path}/w.pt", f"state_dict:{tmp_path}/c.pt"):
        assert torch.allclose(answer(spec, recipe), wanted), spec
    keyed = Recipe(DECLARED, factory=recipe.factory, key="model")
    with pytest.raises(LoadError, match="no entry 'model'; it has step, ema"):
        answer(f"state_dict:{tmp_path}/c.pt", keyed)
    with pytest.raises(LoadError, match="expected factory"):
        answer(f"state_dict:{tmp_path}/w.pt", Recipe(DECLARED))
    with pytest.raises(LoadError, match=r"missing \[.*unknown"):
        answer(f"state_dict:{tmp_path}/w.pt", Recipe(DECLARED, factory="torch.nn:LazyBatchNorm1d"))


def test_graphs_need_no_source(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Net()).save(str(tmp_path / "n.pt"))
    program = torch.export.export(Net().eval(), (torch.zeros(4, 2), torch.zeros(4)))
    torch.export.save(program, tmp_path / "n.pt2")
    assert torch.allclose(answer(f"torchscript:{tmp_path}/n.pt", Recipe(DECLARED)), expected())
    exported = Recipe(Declaration(batch=4).over(DECLARED))
    assert torch.allclose(answer(f"exported:{tmp_path}/n.pt2", exported, batch=64), expected())


def test_a_graph_of_any_batch_size(tmp_path: Path) -> None:
    """torch.export writes the batch size as a formula, Symbol('s0', positive=True, integer=True), and guards on it."""
    rows = {0: torch.export.Dim("rows", min=2, max=64)}
    program = torch.export.export(Net().eval(), (torch.zeros(4, 2), torch.zeros(4)), dynamic_shapes=(rows, rows))
    torch.export.save(program, tmp_path / "n.pt2")
    assert torch.allclose(answer(f"exported:{tmp_path}/n.pt2", Recipe(DECLARED)), expected())


def test_a_checkpoint_with_other_objects_is_read_on_demand_and_recorded(source: Path) -> None:
    """Training scripts put their arguments beside the weights."""
    torch.save({"ema": Net().state_dict(), "args": argparse.Namespace(lr=1.0)}, source / "c.pt")
    torch.save({"ema": Net().state_dict()}, source / "w.pt")
    recipe = Recipe(DECLARED, factory=f"{source}/train.py:build", key="ema")
    with pytest.raises(LoadError, match=r"nothing was run.*--trust-pickle"):
        load(f"state_dict:{source}/c.pt", recipe=recipe)
    trusting = replace(recipe, trust_pickle=True)
    assert torch.allclose(answer(f"state_dict:{source}/c.pt", trusting), 0.5 * expected())  # the source halves
    trusted = [load(f"state_dict:{source}/{name}.pt", recipe=trusting).traits.trusted for name in "cw"]
    assert trusted == [True, False]


def test_a_factory_that_fails_is_named(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "w.pt")
    with pytest.raises(LoadError, match=r"torch.nn:Linear: the factory failed: TypeError"):
        load(f"state_dict:{tmp_path}/w.pt", recipe=Recipe(DECLARED, factory="torch.nn:Linear"))


def test_a_pickle_is_read_on_demand_only_and_recorded(tmp_path: Path) -> None:
    torch.save(nn.Identity(), tmp_path / "n.pkl")
    recipe = Recipe(Declaration(call="(x)").over(DECLARED))
    with pytest.raises(LoadError, match="nothing was run"):
        answer(f"pickle:{tmp_path}/n.pkl", recipe)
    trusted = Recipe(recipe.declaration, trust_pickle=True)
    assert load(f"pickle:{tmp_path}/n.pkl", recipe=trusted).traits.trusted
    assert torch.equal(answer(f"pickle:{tmp_path}/n.pkl", trusted), torch.ones(3, 2))


def test_every_format_is_listed() -> None:
    assert {"diffusers", "python", "safetensors", "state_dict", "torchscript", "exported", "pickle"} <= set(
        known_loaders()
    )
    assert set(known_loaders()) == set(LOADERS)


@pytest.mark.parametrize(
    ("config", "path", "output", "time"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "rectified_flow", "flow", "1000*t"),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction"},
            "rectified_flow",
            "flow",
            "1000*t",
        ),
        ({"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 50}, "ve(0.01, 50)", "score", "sigma"),
        ({"_class_name": "DDPMScheduler", "prediction_type": "sample"}, None, "x0", None),
    ],
)
def test_a_schedulers_configuration_is_a_declaration(
    config: dict[str, object], path: str | None, output: str, time: str | None
) -> None:
    found = read_convention(config)
    assert (found.output, found.time) == (output, time)
    assert path is None or found.path == path


def test_zero_terminal_snr_and_edm() -> None:
    zero = read_convention(
        {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    )
    assert zero.path.sigma_max == float("inf")
    edm = read_convention(
        {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
    )
    assert edm.path == "edm(0.002, 80.0)"
    assert set(edm.output) == {"c_skip", "c_out", "c_in"}
    with pytest.raises(LoadError, match="no Gaussian denoiser"):
        read_convention({"_class_name": "VQDiffusionScheduler"})
