"""The commands that need no run: tables, JSON, statistics kept and used, why numbers differ, weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import typer
from sigmascope import cli
from sigmascope.cli_metrics import register


class Result(NamedTuple):
    code: int
    out: str
    err: str


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("SIGMASCOPE_WEIGHTS", raising=False)
    alone = typer.Typer()
    register(alone)
    if not any(command.name == "metrics" for command in cli.app.registered_commands):
        monkeypatch.setattr(cli, "app", alone)
    for seed, name in enumerate("ab"):
        images = np.random.default_rng(seed).integers(0, 256, (90, 8, 8, 1), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", arr_0=images)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return run


DIGITS = ("--features", "digits", "--metrics", "frechet_distance,kid,prdc")


def test_table_and_json(invoke: Invoke) -> None:
    table = invoke("metrics", "a.npz", "b.npz", *DIGITS)
    assert table.code == 0
    for words in ("Fréchet distance", "Coverage (digits)", "95% interval", "against 90 images"):
        assert words in table.out
    found = json.loads(invoke("metrics", "a.npz", "b.npz", *DIGITS, "--json").out)
    assert len(found["scores"]) == 6
    assert found["scores"][2]["low"] is None  # no interval is null, never NaN
    assert found["choices"]["network"] == "digits"
    assert all(len(score["fingerprint"]) == 12 for score in found["scores"])


def test_statistics_kept_and_used(invoke: Invoke) -> None:
    distance = ("--features", "digits", "-m", "frechet_distance", "--json")
    images = json.loads(invoke("metrics", "b.npz", "a.npz", *distance).out)
    kept = invoke("metrics", "a.npz", "b.npz", *DIGITS, "--save-statistics", "a-stats.npz")
    assert "wrote a-stats.npz" in kept.err
    stored = invoke("metrics", "b.npz", "a-stats.npz", *distance)
    assert json.loads(stored.out)["scores"][0]["value"] == pytest.approx(images["scores"][0]["value"], rel=1e-9)


def test_explain_sets_and_results(invoke: Invoke, tmp_path: Path) -> None:
    swapped = json.loads(invoke("explain", "a.npz", "b.npz", "--features", "digits", "--json").out)
    assert [row["choice"] for row in swapped] == ["baseline", "precision", "N", "order"]
    for protocol in ("sigmascope", "torch-fidelity"):
        found = invoke("metrics", "a.npz", "b.npz", *DIGITS[:2], "-m", "mind", "--protocol", protocol, "--json").out
        (tmp_path / f"{protocol}.json").write_text(found)
    told = invoke("explain", "sigmascope.json", "torch-fidelity.json")
    assert told.code == 0
    assert "kid" in told.out


def test_weights_are_listed_and_imported_by_hash(invoke: Invoke, tmp_path: Path) -> None:
    rows = json.loads(invoke("weights", "--json").out)
    assert {row["network"] for row in rows} == {
        "inception", "dinov2", "clip", "clip-l", "clip-l-336", "lpips-alex", "lpips-vgg",
    }  # fmt: skip
    assert {row["state"] for row in rows} == {"missing"}
    (tmp_path / "any.pth").write_bytes(b"not weights")
    refused = invoke("weights", "--import", "any.pth")
    assert refused.code == 2
    assert "expected one of pt_inception" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["metrics", "a.npz", "nowhere"], "expected a folder of images"),
        (["metrics", "a.npz", "b.npz", "-m", "fidd"], "unknown metric 'fidd'"),
        (["metrics", "a.npz", "b.npz", "-m", "fid"], "pt_inception-2015-12-05"),
        (["metrics", "a.npz", "b.npz", "--protocol", "mine"], "unknown protocol 'mine'"),
        (["metrics", "a.npz", "run:x"], "expected run:ID/MODEL/SAMPLER/STEPS/GRID"),
        (["explain", "a.json", "b.json"], "expected the JSON"),
    ],
)
def test_mistakes_say_what_was_expected(invoke: Invoke, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert "Traceback" not in result.err
