"""`sigmascope advise`: what it says, what a suite can take from it, and what is refused before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from sigmascope.cli_advise import advise
from sigmascope.errors import ConfigError
from sigmascope.evals.suite import checked_suite


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "evals"))
    monkeypatch.setenv("COLUMNS", "200")


def called(model: str = "python:toy:gaussian", **settings: Any) -> int:
    with pytest.raises(typer.Exit) as done:
        advise(model, **{"steps": 5, "sampler": "euler", "seeds": "0-15", "rounds": 2, **settings})
    return int(done.value.exit_code)


def test_a_better_grid_is_proposed_and_a_suite_takes_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "advice.json"
    assert called(output=[file]) == 0
    told, written = capsys.readouterr().out, json.loads(file.read_text())
    assert "nearer to the exact ODE" in told
    grid = written["after"]["grid"]
    assert f'grids = ["{grid}"]' in told
    assert written["better"] is True
    assert written["ratio"]["high"] < 1
    suite = checked_suite(
        {
            "schema": 1,
            "name": "advised",
            "data": {"source": "python:toy:data"},
            "models": [{"name": "toy", "spec": "python:toy:gaussian"}],
            "sampling": {"samplers": ["euler"], "steps": [5], "grids": [grid], "metrics": []},
        },
        "test",
    )
    assert suite.sampling is not None
    assert suite.sampling.grids == [grid]


def test_what_was_proposed_is_proposed_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    called(output=[first], rounds=4)
    grid = json.loads(first.read_text())["after"]["grid"]
    called(grid=grid, output=[second], rounds=1)
    assert json.loads(second.read_text())["ratio"]["ratio"] == pytest.approx(1.0, abs=0.2)


def test_mistakes_are_refused(tmp_path: Path) -> None:
    for settings, words in (
        ({"sampler": "ddpm"}, "draws no noise"),
        ({"sampler": "nothing"}, "unknown sampler"),
        ({"grid": "sigmas(1, 2)"}, "descending"),
        ({"grid": "nothing"}, "unknown grid"),
        ({"output": [tmp_path / "a.html"]}, "expected a .json file"),
    ):
        with pytest.raises(ConfigError, match=words):
            advise("python:toy:gaussian", **{"steps": 5, "seeds": "0-7", **settings})
