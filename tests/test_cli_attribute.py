"""`sigmascope attribute`: what is told, exit codes, what is refused before work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAST = ["--data", "python:toy:data", "--features", "none", "--steps", "4", "--seeds", "0-39"]
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
name = "other"
spec = "python:toy:other"
[sampling]
samplers = ["euler"]
steps = [2]
seeds = "0-3"
metrics = []
thumbnails = 0
"""


Invoke = Callable[..., Any]
TOY_NETWORK = """
from toy import Toy

def toy_network():
    network = Toy().eval()

    def called(x_t, time, class_labels):
        return network(x_t.float(), time, class_labels)

    return called
"""


@pytest.fixture(autouse=True)
def _networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "networks.py").write_text(TOY_NETWORK)


def test_a_change_is_found_and_written(invoke: Invoke, tmp_path: Path) -> None:
    files = [part for name in ("a.json", "a.md", "a.html") for part in ("-o", str(tmp_path / name))]
    done = invoke("attribute", "python:toy:toy", "python:toy:other", *FAST, "-m", "drift,kernel_distance", *files)
    assert done.code == 0, done.err
    assert "of the change in Drift (samples as they are) from python:toy:toy to python:toy:other" in done.out
    assert "Kernel distance" in done.out
    assert "runs of the sampler" in done.out
    content = json.loads((tmp_path / "a.json").read_text())
    assert sum(
        row["share"] for row in content["tables"]["bands"] if row["metric"].startswith("Drift")
    ) == pytest.approx(1)
    assert content["full_runs"] <= 7.6
    assert (tmp_path / "a.html").is_file()
    assert (tmp_path / "a.md").is_file()


def test_no_change_at_all_passes(invoke: Invoke) -> None:
    done = invoke("attribute", "python:toy:toy", "python:toy:toy", *FAST)
    assert done.code == 0
    assert "No change in Kernel distance" in done.out


def test_a_change_that_seeds_can_not_tell_is_inconclusive(invoke: Invoke) -> None:
    """Four seeds, and a candidate that differs by one more Heun evaluation per step."""
    settings = [*FAST[:-1], "0-3", "--candidate-sampler", "dpmpp_2m"]
    done = invoke("attribute", "python:toy:toy", "python:toy:toy", *settings, "--bands", "2")
    assert done.code == 4
    assert "can't tell from no change" in done.out


def test_models_of_a_suite_and_of_a_run(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    rest = ["--features", "none", "--steps", "2", "--bands", "2", "--seeds", "0-9", "-m", "drift"]
    suite = invoke("attribute", "suite.toml:toy", "suite.toml:other", *rest, "-o", "a.json")
    assert suite.code == 0, suite.err
    assert invoke("run", "suite.toml", "--display", "none").code == 0
    run = invoke("attribute", "latest:toy", "latest:other", *rest, "-o", "b.json")
    assert run.code == 0, run.err
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert first["tables"] == second["tables"]
    assert first["settings"]["data"] == "python:toy:data"
    assert invoke("attribute", "latest", "latest:other", *rest).code == 2


def test_fields_of_one_player_make_another(invoke: Invoke) -> None:
    """The candidate in half precision: its input is rounded."""
    pair = ["attribute", "python:networks:toy_network", "python:networks:toy_network"]
    declared = [f"--set={field}" for field in ("path=edm", "output=x0", "event_shape=[1,4,4]", "classes=3")]
    done = invoke(*pair, *declared, *FAST, "--candidate-set", "dtype=bfloat16", "-m", "drift", "--seeds", "0-255")
    assert done.code == 0, done.err
    assert "python:networks:toy_network (candidate)" in done.out
    refused = invoke(*pair, *declared, *FAST, "--candidate-set", "dtpye=bfloat16")
    assert refused.code == 2
    assert "dtpye" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bands", "7"], "at most 6"),
        (["--bands", "5"], "at least one for each of 5 bands"),
        (["--edges", "0.5,900"], "expected distinct sigmas between"),
        (["--edges", "0.5,x"], "expected sigmas separated by commas"),
        (["--sampler", "diffusers:DDIMScheduler"], "brings its own noise levels"),
        (["-m", "drifting"], "did you mean 'drift'"),
        (["--seeds", "0-0"], "at least 2"),
        (["-o", "a.pdf"], "ending in .html, .md, .json"),
        (["--grid", "even"], "unknown grid"),
    ],
)
def test_what_can_not_be_is_refused_before_sampling(invoke: Invoke, options: list[str], message: str) -> None:
    done = invoke("attribute", "python:toy:toy", "python:toy:other", *FAST, *options)
    assert done.code == 2
    assert message in done.err
    assert "runs of the sampler" not in done.out


def test_no_data_is_refused_unless_nothing_needs_it(invoke: Invoke) -> None:
    rest = FAST[2:]
    done = invoke("attribute", "python:toy:toy", "python:toy:other", *rest)
    assert done.code == 2
    assert "--data" in done.err
    assert invoke("attribute", "python:toy:toy", "python:toy:other", *rest, "-m", "drift").code == 0


def test_screening_takes_any_number_of_bands(invoke: Invoke, tmp_path: Path) -> None:
    rest = [*FAST[:-3], "9", "--seeds", "0-9", "-m", "drift", "--screen", "--bands", "9", "-o", "a.json"]
    done = invoke("attribute", "python:toy:toy", "python:toy:other", *rest)
    assert done.code == 0, done.err
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["exact"] is False
    assert len(content["tables"]["bands"]) == 9
    assert "interactions" not in content["tables"]
