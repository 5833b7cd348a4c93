"""Hostile files run nothing, crash nothing, and get a clear error."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from sigmascope.errors import LoadError
from sigmascope.evals.declaration import Declaration
from sigmascope.evals.loading import Recipe, load
from sigmascope.evals.loading.programs import refuse_code
from torch import nn

RECIPE = Recipe(Declaration("edm", "x0", (2,), call="(x)"), factory="torch.nn:Identity")


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.mark.parametrize("scheme", ["state_dict", "safetensors", "torchscript", "exported", "pickle"])
@pytest.mark.parametrize("kind", ["bare", "torch"])
def test_a_pickle_with_code_in_it(scheme: str, kind: str, tmp_path: Path, trace: Path) -> None:
    file = tmp_path / "model.bin"
    if kind == "bare":
        file.write_bytes(pickle.dumps(Bomb(trace)))
    else:
        torch.save({"weights": Bomb(trace)}, file)
    with pytest.raises(LoadError):
        load(f"{scheme}:{file}", recipe=RECIPE)
    assert not trace.exists()


@pytest.mark.parametrize("scheme", ["state_dict", "torchscript", "exported", "pickle"])
def test_a_zip_bomb(scheme: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data/0", bytes(30_000_000))
    with pytest.raises(LoadError, match="zip bomb"):
        load(f"{scheme}:{file}", recipe=Recipe(RECIPE.declaration, factory=RECIPE.factory, trust_pickle=True))


def test_a_truncated_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save

    whole = save({"a": torch.zeros(1000)})
    for size in (0, 4, 100, len(whole) - 1):
        (tmp_path / "w.safetensors").write_bytes(whole[:size])
        with pytest.raises(LoadError, match=r"truncated|empty"):
            load(f"safetensors:{tmp_path}/w.safetensors", recipe=RECIPE)


def test_truncated_archives(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    for scheme in ("state_dict", "torchscript", "exported"):
        (tmp_path / "w.pt").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(LoadError):
            load(f"{scheme}:{tmp_path}/w.pt", recipe=RECIPE)


@pytest.mark.parametrize("scheme", ["state_dict", "safetensors", "torchscript", "exported", "pickle", "diffusers"])
def test_a_folder_with_its_own_torch_utils(
    scheme: str, tmp_path: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python in a folder runs only when it is named by python: or factory."""
    (tmp_path / "torch_utils").mkdir()
    (tmp_path / "torch_utils" / "__init__.py").write_text(f"import os; os.mkdir({str(trace)!r})")
    (tmp_path / "network.pkl").write_bytes(b"ctorch_utils\nx\n.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for location in (tmp_path, tmp_path / "network.pkl"):
        if scheme == "diffusers" and location != tmp_path:
            continue
        with pytest.raises(LoadError):
            load(f"{scheme}:{location}", recipe=RECIPE)
    assert not trace.exists()


def test_an_exported_program_with_a_pickle_in_it(tmp_path: Path, trace: Path) -> None:
    """A weight marked as pickled, and a constant that torch would unpickle without asking."""
    program = torch.export.export(nn.Linear(2, 2).eval(), (torch.zeros(4, 2),))
    torch.export.save(program, tmp_path / "good.pt2")
    with zipfile.ZipFile(tmp_path / "good.pt2") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    weights = next(name for name in content if name.endswith("weights/weight_0"))
    config = next(name for name in content if name.endswith("weights_config.json"))
    torch.save(Bomb(trace), tmp_path / "bomb")
    pickled = {
        weights: (tmp_path / "bomb").read_bytes(),
        config: content[config]
        .replace(b'"use_pickle": false', b'"use_pickle": true')
        .replace(b'"use_pickle":false', b'"use_pickle":true'),
    }
    opaque = {config: content[config].replace(b'"weight_0"', b'"opaque_obj_0"')}
    for changed in (pickled, opaque):
        assert any(content[name] != value for name, value in changed.items())
        with zipfile.ZipFile(tmp_path / "bad.pt2", "w") as archive:
            for name, value in {**content, **changed}.items():
                archive.writestr(name, value)
        with pytest.raises(LoadError):
            load(f"exported:{tmp_path}/bad.pt2", recipe=RECIPE)
        assert not trace.exists()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The entries of an archive whose batch size is a formula."""
    path = tmp_path_factory.mktemp("program") / "n.pt2"
    rows = {0: torch.export.Dim("rows", min=2, max=8)}
    exported = torch.export.export(nn.Linear(2, 2).eval(), (torch.zeros(4, 2),), dynamic_shapes=(rows,))
    torch.export.save(exported, path)
    refuse_code(path, "good")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _formula(graph: Any, text: str) -> None:
    (size,) = {part["expr_str"] for part in _parts(graph) if "expr_str" in part}
    for part in _parts(graph):
        if part.get("expr_str") == size:
            part["expr_str"] = text


def _guard(graph: Any, text: str) -> None:
    graph["guards_code"] = [text]


def _keyword(graph: Any, text: str) -> None:
    graph["graph_module"]["graph"]["nodes"][0]["inputs"][0]["name"] = text


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        return [content, *(part for value in content.values() for part in _parts(value))]
    return [part for value in content for part in _parts(value)] if isinstance(content, list) else []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_formula, "exec(PATH)"),  # each but the last two runs when torch opens or calls it: sympy and exec evaluate
        (_formula, "[exec][0](PATH)"),
        (_formula, "().__class__"),
        (_guard, "torch.os.mkdir(PATH) != 0"),
        (_guard, "L['input'].size()[0] == exec(PATH)"),
        (_keyword, "input=__import__('os').mkdir(PATH), weight"),
        (_formula, "9**9**9**9"),
        (_formula, "Pow(Pow(Symbol('s0'), Integer(16)), Integer(16))"),
    ],
)
def test_an_exported_program_with_code_in_its_graph(
    program: dict[str, bytes], tmp_path: Path, trace: Path, change: Any, code: str
) -> None:
    source = f"__import__('os').mkdir({str(trace)!r})" if "exec" in code else str(trace)
    code = code.replace("PATH", "+".join(f"chr({ord(letter)})" for letter in source))
    name = next(name for name in program if name.endswith("models/model.json"))
    graph = json.loads(program[name])
    change(graph, code)
    _archive(tmp_path / "bad.pt2", {**program, name: json.dumps(graph).encode()})
    with pytest.raises(LoadError, match="nothing was run"):
        load(f"exported:{tmp_path}/bad.pt2", recipe=RECIPE)
    assert not trace.exists()


def test_an_exported_program_with_a_library_or_entries_that_hide_others(
    program: dict[str, bytes], tmp_path: Path
) -> None:
    root = next(iter(program)).partition("/")[0]
    weight = next(name for name in program if name.endswith("weights/weight_0"))
    for extra in (f"{root}/data/aotinductor/model/x.so", weight.replace("weight_0", "Weight_0"), "other/version"):
        _archive(tmp_path / "bad.pt2", {**program, extra: b"\x7fELF"})
        with pytest.raises(LoadError, match=r"nothing was run|than were checked"):
            load(f"exported:{tmp_path}/bad.pt2", recipe=RECIPE)


def _archive(path: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)
