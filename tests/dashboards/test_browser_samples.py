"""A real run at work and its samples, in Chromium: progress goes by itself, a click shows a seed large."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import read_suite

from .test_browser import PATIENCE_MS, _chosen, _drawn, page, serving  # noqa: F401

pytestmark = pytest.mark.browser

SUITE = """
schema = 1
name = "near"
[data]
source = "python:toy:data"
train = "python:toy:training"
[[models]]
name = "rote"
spec = "python:toy:rote"
[[models]]
name = "gaussian"
spec = "python:toy:gaussian"
[sampling]
samplers = ["euler"]
steps = [4, 6]
seeds = "0-15"
thumbnails = 16
metrics = []
"""


class Gate:
    """A watcher that lets a session go on after each cell only when it is told to."""

    def __init__(self) -> None:
        self.passes = threading.Semaphore(0)

    def cell(self, title: str, done: bool) -> None:
        if done:
            assert self.passes.acquire(timeout=PATIENCE_MS / 1000)

    def advance(self, evaluations: int) -> None:
        pass


def test_a_run_at_work_is_followed_and_its_memories_are_found(
    page: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "evals"))
    (tmp_path / "suite.toml").write_text(SUITE)
    gate, plan = Gate(), prepare(read_suite(tmp_path / "suite.toml"), tmp_path)
    session = threading.Thread(target=execute, args=(plan, tmp_path / "runs", gate), daemon=True)
    (tmp_path / "runs").mkdir()
    with serving(tmp_path / "runs") as address:
        page.goto(address)
        page.get_by_text("No runs yet").wait_for(timeout=PATIENCE_MS)
        session.start()
        page.get_by_role("link", name="Run", exact=True).click(timeout=PATIENCE_MS)
        page.locator("b", has_text="running").wait_for(timeout=PATIENCE_MS)
        page.locator(".stMain .stProgress", has_text="1 of 4 cells").wait_for(timeout=PATIENCE_MS)
        gate.passes.release()
        page.locator(".stMain .stProgress", has_text="2 of 4 cells, 50% of").wait_for(timeout=PATIENCE_MS)
        page.locator("b", has_text="2 of 4").wait_for(timeout=PATIENCE_MS)
        for _ in range(3):
            gate.passes.release()
        session.join()
        page.locator("b", has_text="complete").wait_for(timeout=PATIENCE_MS)
        page.locator(".stProgress").first.wait_for(state="detached", timeout=PATIENCE_MS)
        assert page.locator(".stException, .stProgress").count() == 0

        page.get_by_role("link", name="Samples", exact=True).click()
        _drawn(page)
        page.locator("input[aria-label='Sort by']").click()
        page.get_by_role("option", name="nearest to training").click()
        page.locator(".ytick", has_text="nearest in").first.wait_for(timeout=PATIENCE_MS)
        _drawn(page)
        point = page.locator(".stPlotlyChart").first.locator(".scatterlayer .point").nth(3).bounding_box()
        page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
        page.wait_for_url("**sample=*", timeout=PATIENCE_MS)
        seed = page.url.rpartition("sample=")[2].partition("&")[0]
        _chosen(page, "Seed", seed)
        _drawn(page)
        page.goto("about:blank")  # or it would complain that the server is gone
