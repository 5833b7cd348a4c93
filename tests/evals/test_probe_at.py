"""Which settings of a sweep are looked at step by step: those that `sampling.probe_at` names, or all."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.errors import ConfigError
from sigmascope.evals.planning import Plan, prepare
from sigmascope.evals.suite import read_suite

SUITE = """
schema = 1
name = "toy"
[data]
source = "python:toy:data"
[[models]]
name = "free"
spec = "python:toy:gaussian"
[sampling]
samplers = ["euler", "heun"]
steps = [3, 6]
seeds = "0-5"
metrics = []
probes = ["straightness"]
film = 2
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def planned(folder: Path, line: str = "") -> Plan:
    path = folder / "suite.toml"
    path.write_text(SUITE + line)
    return prepare(read_suite(path), folder)


def walked(plan: Plan) -> list[tuple[str | None, int | None]]:
    return [(cell.sampler, cell.steps) for cell in plan.cells if cell.kind == "trajectory"]


def test_all_settings_or_those_that_are_named(tmp_path: Path) -> None:
    every = [("euler", 3), ("euler", 6), ("heun", 3), ("heun", 6)]
    whole = planned(tmp_path)
    assert walked(whole) == every
    few = planned(tmp_path, 'probe_at = [{sampler = "euler", steps = 3}, {sampler = "heun", steps = 6}]')
    assert walked(few) == [every[0], every[3]]
    samples = [cell.key for cell in few.cells if cell.kind == "sample"]
    assert samples == [cell.key for cell in whole.cells if cell.kind == "sample"], "all are sampled, as ever"
    keys = {cell.key for cell in whole.cells}
    assert {cell.key for cell in few.cells} < keys, "a run that is asked for more keeps what it has"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{sampler = "euler", steps = 4}', "expected a setting of the sweep, .*steps 3, 6, got euler in 4 steps"),
        ('{sampler = "ddpm", steps = 3}', "samplers euler, heun and .* got ddpm in 3 steps"),
        ('{sampler = "eulr", steps = 3}', "unknown sampler 'eulr'"),
        ('{sampler = "euler"}', "probe_at.0.steps"),
    ],
)
def test_only_what_is_sampled_can_be_looked_at(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, f"probe_at = [{line}]")
