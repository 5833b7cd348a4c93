"""The command line: exit codes, where output goes, errors before work."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUITE = """
schema = 1
name = "toy"
micro_batch = 16
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
[[models]]
name = "MODEL"
spec = "python:toy:MODEL"
[probes]
levels = 4
"""


Invoke = Callable[..., Any]


def suite(folder: Path, model: str = "other") -> str:
    path = folder / "suite.toml"
    path.write_text(SUITE.replace("MODEL", model))
    return str(path)


def test_run_then_list(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("run", suite(tmp_path), "--display", "plain")
    assert done.code == 0
    assert re.search(r"toy-[0-9a-f]{8}: 3 cells", done.out)
    assert "100%" in done.err
    assert "100%" not in done.out
    (listed,) = json.loads(invoke("list", "runs", "--json").out)
    assert listed["status"] == "complete"
    assert listed["models"] == "toy, other"


def test_another_model_takes_the_suites_place(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("run", suite(tmp_path), "--model", "new=python:toy:gaussian", "--display", "none").code == 0
    (listed,) = json.loads(invoke("list", "runs", "--json").out)
    assert listed["models"] == "new"
    refused = invoke("run", suite(tmp_path), "--model", "new=pithon:toy:gaussian")
    assert refused.code == 2
    assert "unknown model loader 'pithon'" in refused.err


def test_dry_run_says_what_it_costs_and_writes_nothing(invoke: Invoke, tmp_path: Path) -> None:
    planned = invoke("run", suite(tmp_path), "--dry-run")
    assert planned.code == 0
    pictures = 2 * 4 * 2
    # where the other model loses most: 2 images a level, a twentieth of its 80 evaluations there in both models.
    assert f"{2 * 4 * 2 * 40 + pictures:,}" in planned.out
    assert "minutes" in planned.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run"], 2, "suite"),
        (["run", "nowhere.toml"], 2, "expected a suite in TOML"),
        (["run", "SUITE", "--no-such-flag"], 2, "no-such-flag"),
        (["run", "SUITE", "--model", "third"], 2, "expected NAME=SPEC, or one of toy, other, got 'third'"),
        (["run", "SUITE", "--device", "warp"], 2, "device: expected one this torch can use"),
        (["run", "SUITE", "--out", "SUITE"], 3, "expected a folder that can be written"),
        (["list", "planets"], 2, "planets"),
        (["validate", "nowhere.toml"], 2, "expected TOML"),
    ],
)
def test_mistakes_have_their_exit_code_and_say_what_was_expected(
    invoke: Invoke, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    path = suite(tmp_path)
    result = invoke(*(path if argument == "SUITE" else argument for argument in arguments))
    assert result.code == code
    assert message in " ".join(result.err.split())
    assert "Traceback" not in result.err


def test_a_broken_model_is_exit_code_3_and_never_1(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("run", suite(tmp_path, "broken"), "--display", "none")
    assert result.code == 3
    assert "expected finite values, got NaN" in result.err


def test_anything_unexpected_is_exit_code_3(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("sigmascope.evals.runner.execute", surprise)
    assert invoke("run", suite(tmp_path), "--display", "none").code == 3


def test_a_flag_has_its_environment_twin(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMASCOPE_RUNS", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("SIGMASCOPE_RUN_LIMIT", "3")
    assert invoke("run", suite(tmp_path), "--display", "none").code == 0
    (listed,) = json.loads(invoke("list", "runs", "--json").out)
    assert listed["cells"] == 2
    assert (tmp_path / "elsewhere" / listed["id"]).is_dir()


@pytest.mark.parametrize("what", ["models", "samplers", "grids", "metrics", "probes", "features", "protocols"])
def test_list_names(invoke: Invoke, what: str) -> None:
    names = [row[what] for row in json.loads(invoke("list", what, "--json").out)]
    assert len(names) == len(set(names)) > 0


def test_validate_and_doctor(invoke: Invoke, tmp_path: Path) -> None:
    assert "a suite, models: 2" in invoke("validate", suite(tmp_path)).out
    found = invoke("doctor")
    assert found.code == 0
    assert "torch" in found.out


def test_a_factory_that_exits_and_a_closed_pipe_are_never_exit_code_1(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exits.py").write_text("import sys\ndef make():\n    sys.exit(1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert invoke("run", suite(tmp_path), "--model", "exits=python:exits:make").code == 3
    command = f"set -o pipefail; {sys.executable} -m sigmascope list samplers --json | true"
    assert subprocess.run(["bash", "-c", command], check=False, capture_output=True).returncode in (0, 3)
