"""`sigmascope plan`: what it says of a stored run."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from sigmascope.cli_plan import plan
from sigmascope.errors import ConfigError

from .reports import synthetic


def planned(folder: Path, capsys: pytest.CaptureFixture[str], *names: str, **options: float) -> str:
    plan(*names, runs_folder=folder, **options)  # type: ignore[arg-type]
    return " ".join(capsys.readouterr().out.split())


def test_a_run_says_what_a_gate_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.write(synthetic.run({"a": "eps", "b": "eps"}, "pair-00000000"), tmp_path)
    said = planned(tmp_path, capsys, "pair:a", "pair:b", margin=0.02, change=None, alpha=0.05, power=0.9, correlation=0)
    assert "paired with b; critical value over 24 levels" in said
    assert "images x 24 levels x 2 draws" in said
    assert "minutes" in said
    assert "Fréchet" in said
    alone = planned(tmp_path, capsys, "pair:a", margin=0.02, change=None, alpha=0.05, power=0.9, correlation=0)
    assert "an upper bound, for no second model was named" in alone


def test_no_number_is_cut_in_a_narrow_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a margin of 0.1% the samples are many digits; a terminal without a width has 80 columns."""
    synthetic.write(synthetic.run({"a": "eps", "b": "eps"}, "pair-00000000"), tmp_path)
    plan("pair:a", "pair:b", margin=1e-3, change=None, alpha=0.05, power=0.9, correlation=0, runs_folder=tmp_path)
    assert "…" not in capsys.readouterr().out


def test_impossible_wishes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--margin: expected more than 0, got 0"):
        plan("latest", margin=0.0, runs_folder=tmp_path)


def test_it_can_be_a_command() -> None:
    app = typer.Typer()
    app.command()(plan)
    assert typer.main.get_command(app).params
