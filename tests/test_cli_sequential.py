"""`sigmascope gate --sequential` on real trained models: its exit codes, what it saves, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sigmascope.cli_sequential import _placed
from sigmascope.fixtures import digits

from .conftest import Result

MODELS = Path(digits.__file__).parent / "models"
SUITE = f"""
schema = 1
name = "digits"
[data]
source = "python:sigmascope.fixtures.digits:heldout"
limit = 160
[[models]]
name = "eps"
spec = "diffusers:{MODELS}/digits-eps"
[[models]]
name = "regressed"
spec = "diffusers:{MODELS}/digits-regressed"
[[models]]
name = "v"
spec = "diffusers:{MODELS}/digits-v"
[probes]
levels = 8
draws = 1
"""
RULE = '[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = { rel = 0.02 }\n'
OUTPUTS = ("comment.md", "verdict.json", "page.html", "junit.xml")

Gate = Callable[..., Result]


@pytest.fixture
def gate(invoke: Callable[..., Result]) -> Gate:
    """`gate --sequential` of a model of the suite against `eps`, in a folder with gate.toml and suite.toml."""

    def run(model: str, *more: str, policy: str = RULE) -> Result:
        Path("suite.toml").write_text(SUITE)
        Path("gate.toml").write_text(policy)
        models = (f"suite.toml:{model}", "--baseline", "suite.toml:eps")
        return invoke("gate", "--sequential", *models, "--policy", "gate.toml", *more)

    return run


def test_the_regressed_model_fails_with_half_the_evaluations_at_most(gate: Gate) -> None:
    """1 of 8 levels lies in the planted band, 0.44-1.0 in sigma; all images at all levels are 2,560 evaluations."""
    found = gate("regressed", *[part for name in OUTPUTS for part in ("-o", name)])
    assert found.code == 1
    assert "regressed: denoising error" in found.out
    spent = [int(number.replace(",", "")) for number in re.findall(r"look \d+: ([\d,]+) evaluations", found.err)]
    assert spent
    assert spent[-1] <= 2560 / 2
    assert json.loads(Path("verdict.json").read_text())["verdict"]["outcome"] == "fail"
    assert "Regression" in Path("comment.md").read_text()
    assert "figure-noise-levels" in Path("page.html").read_text()
    assert "<failure" in Path("junit.xml").read_text()


def test_a_model_passes_against_itself_at_the_first_look(gate: Gate) -> None:
    found = gate("eps")
    assert found.code == 0
    assert "look 1" in found.err
    assert "look 2" not in found.err


def test_a_spent_budget_is_inconclusive(gate: Gate) -> None:
    """One model of another parameterization at a margin of 0.01%: the budget of one look settles nothing."""
    found = gate("v", "--budget", "1100", policy=RULE.replace("0.02", "0.0001"))
    assert found.code == 4
    assert "more images would settle it" in found.out


def test_what_it_cannot_judge_is_refused_before_any_model_is_asked(gate: Gate, invoke: Callable[..., Result]) -> None:
    found = gate("v", "--budget", "100")
    assert found.code == 2
    assert "at least 1,024 evaluations, those of a first look at 64 images at each of 8" in " ".join(found.err.split())
    found = gate("v", "--limit", "30")
    assert found.code == 2
    assert "at least 64 images, the first look's, got 30" in " ".join(found.err.split())
    found = gate("v", policy='[[gate]]\nmetric = "FID"\nrule = "ceiling"\nmax = 6.0\n')
    assert found.code == 2
    assert "expected rules of metric denoising_error" in " ".join(found.err.split())
    found = invoke("gate", "run:eps", "--baseline", "run:v", "--policy", "gate.toml", "--budget", "100")
    assert found.code == 2
    assert "expected --sequential beside --budget" in found.err


def test_other_data_are_incomparable(invoke: Callable[..., Result]) -> None:
    Path("suite.toml").write_text(SUITE)
    Path("other.toml").write_text(SUITE.replace("heldout", "train"))
    Path("gate.toml").write_text(RULE)
    models = ("other.toml:v", "--baseline", "suite.toml:eps")
    found = invoke("gate", "--sequential", *models, "--policy", "gate.toml")
    assert found.code == 5
    assert "heldout" in found.err


def test_paths_begin_at_their_own_suite(tmp_path: Path) -> None:
    """Two suites in two folders: what exists there is named in full, a module's function stays as it is."""
    (tmp_path / "models").mkdir()
    (tmp_path / "data.py").touch()
    assert _placed("models", tmp_path) == str(tmp_path / "models")
    assert _placed("python:data.py:heldout", tmp_path) == f"python:{tmp_path}/data.py:heldout"
    assert _placed("python:models:heldout", tmp_path) == "python:models:heldout"
    assert _placed("hub/name", tmp_path) == "hub/name"
