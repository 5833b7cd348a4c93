"""Shared by all tests: one thread, so that workers do not fight over cores; a browser; why there is no GPU."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from sigmascope import cli
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import read_suite

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests of one file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Result]:
    """Runs `sigmascope ARGUMENTS` in a folder of its own, with the toy models of tests/evals at hand."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "evals"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return run


WALKED = """
schema = 1
name = "walked"
micro_batch = 16
[data]
source = "python:toy:data"
[[models]]
name = "one"
spec = "python:toy:gaussian"
[[models]]
name = "two"
spec = "python:toy:gaussian"
[probes]
levels = 4
use = ["calibration"]
[sampling]
samplers = ["euler", "heun"]
steps = [3]
seeds = "0-7"
metrics = []
probes = ["local_error", "straightness"]
film = 2
"""


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose samplers were looked at step by step, of two models that are one."""
    folder = tmp_path_factory.mktemp("walked")
    (folder / "suite.toml").write_text(WALKED)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(Path(__file__).parent / "evals"))
        execute(prepare(read_suite(folder / "suite.toml"), folder), folder / "runs")
    return folder / "runs"
