"""`sigmascope diagnose`: the bundled regressed model's band is named, its parent is left in peace; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigmascope import fixtures

Invoke = Callable[..., Any]
MODELS = Path(fixtures.__file__).parent / "models"
HELDOUT = ("--data", "python:sigmascope.fixtures.digits:heldout", "--display", "none")
BAND = (0.3116, 1.1731)
"""Where digits-regressed differs from its parent (fixtures.digits_regression)."""


def test_the_regressed_models_band_is_named(invoke: Invoke, tmp_path: Path) -> None:
    spec = f"diffusers:{MODELS / 'digits-regressed'}"
    done = invoke("diagnose", spec, *HELDOUT, "--probe", "default", "--limit", "200", "-o", str(tmp_path / "f.json"))
    assert done.code == 0
    assert "digits-regressed shrinks its noise estimate" in done.out
    found = json.loads((tmp_path / "f.json").read_text())["findings"]
    assert found
    for one in found:
        assert BAND[0] < one["sigma_low"] <= one["sigma_high"] < BAND[1]
        assert one["low"] <= one["value"] <= one["high"]
        assert one["text"] in done.out.replace("\n", " ")
        assert one["cause"]
        assert one["source"]
    # it is a run like any other: read again, not made again
    (run,) = (tmp_path / "runs").iterdir()
    again = invoke("diagnose", f"{run.name}:digits-regressed")
    assert again.out == done.out


def test_its_parent_is_left_in_peace(invoke: Invoke) -> None:
    spec = f"diffusers:{MODELS / 'digits-eps'}"
    done = invoke("diagnose", spec, *HELDOUT, "--probe", "default", "--limit", "200")
    assert (done.code, done.out.strip()) == (0, "no finding")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits-eps", "digits-v", "digits-flow"])
def test_no_healthy_bundled_model_has_a_finding(invoke: Invoke, name: str) -> None:
    """All probes that have a rule, on all held-out images."""
    done = invoke("diagnose", f"diffusers:{MODELS / name}", *HELDOUT)
    assert (done.code, done.out.strip()) == (0, "no finding")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("diagnose", "python:toy:toy"), "expected --data with held-out images"),
        (("diagnose", "python:toy:toy", "--data", "python:toy:data", "--probe", "calibrat"), "did you mean 'calibrat"),
        (("diagnose", "python:toy:toy", "--data", "python:toy:data", "--probe", "memorisation"), "training images"),
        (("diagnose", "python:toy:toy", "--data", "python:toy:data", "-o", "x.html"), "expected a .json file"),
        (("diagnose", "latest:toy"), "latest"),
    ],
)
def test_what_cannot_be_is_refused_before_work(invoke: Invoke, arguments: tuple[str, ...], said: str) -> None:
    done = invoke(*arguments)
    assert done.code == 2
    assert said in done.err
