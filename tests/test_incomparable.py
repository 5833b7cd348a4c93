"""Numbers of different protocols are never compared silently: the gate exits with 5, both name what differs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sigmascope import cli

from .reports import synthetic

METRIC = "Fréchet distance (digits)"
POLICY = f"""
schema = 1
[[gate]]
metric = "{METRIC}"
rule = "noninferior"
margin = {{ rel = 0.5 }}
"""


@pytest.fixture
def invoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Three runs alike but for the protocol of one metric of the third; exit code and stdout of a command on them."""
    one, again, other = (synthetic.run({"model": "eps"}, f"{name}-00000000") for name in ("one", "again", "other"))
    table = other.tables["metrics"].copy()
    table.loc[table["metric"] == METRIC, ["protocol", "fingerprint"]] = ["digits network, bfloat16", "decaf0"]
    for run in (one, again, replace(other, tables={**other.tables, "metrics": table})):
        synthetic.write(run, tmp_path / "runs")
    (tmp_path / "gate.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capsys.readouterr().out

    return run_command


NAMED = "'digits network, 500 samples against 898 images' against 'digits network, bfloat16'"


def test_the_gate_exits_with_5_and_names_the_difference(invoke: Callable[..., tuple[int, str]]) -> None:
    code, out = invoke("gate", "other-00000000", "--baseline", "one-00000000", "--policy", "gate.toml")
    assert code == 5
    assert f"their protocols differ: {NAMED}" in out
    assert invoke("gate", "again-00000000", "--baseline", "one-00000000", "--policy", "gate.toml")[0] == 0


def test_compare_says_which_metric_it_leaves_out(invoke: Callable[..., tuple[int, str]]) -> None:
    code, out = invoke("compare", "one-00000000", "other-00000000")
    assert code == 0
    assert f"{METRIC} is not compared with" in out
    assert NAMED in out
    assert "class agreement is not compared" not in out
