"""What a page made once it does not make again, until the run's content changes; and nothing that nobody asked for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ..reports import synthetic
from .test_pages import open_page, opened

MADE = {
    "comparison": "sigmascope.reports.compare.compare",
    "diagnosis": "sigmascope.reports.report.diagnose",
    "negligible": "sigmascope.reports.report.negligible",
    "figure": "sigmascope.reports.report.noise_levels",
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each of MADE was."""
    counts: Counter[str] = Counter()
    for name, path in MADE.items():
        module, _, function = path.rpartition(".")
        original = getattr(__import__(module, fromlist=[function]), function)

        def counted(*args: Any, _name: str = name, _original: Any = original) -> Any:
            counts[_name] += 1
            return _original(*args)

        monkeypatch.setattr(path, counted)
    return counts


def test_a_second_draw_computes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Counter[str]) -> None:
    folder = synthetic.write(synthetic.run({"base": "eps", "digits-regressed": "eps"}), tmp_path)
    app = open_page(monkeypatch, tmp_path, "noise-levels")
    first = dict(made)
    assert not app.exception
    assert first == {"comparison": 1, "diagnosis": 1, "negligible": 1, "figure": 1}
    app.selectbox(key="level").set_value(3).run()
    assert not app.exception
    assert dict(made) == first, "images of another level leave the curves as they are"
    app.selectbox(key="unit").select("eps").run()
    assert dict(made) == {**first, "figure": 2}, "another unit is another figure of the same comparison"
    os.utime(folder / "run.json", (1, 1))
    app.run()
    assert made["comparison"] == made["diagnosis"] == 2, "a run that was written again is compared again"


def test_what_can_be_taken_along_is_made_when_it_is_opened(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "parameterizations")
    assert not app.exception
    assert not app.main.get("download_button")
    assert not app.code
    opened(app, "parameterizations")
    assert not app.exception
    assert "CSV" in [button.proto.label for button in app.main.get("download_button")]
    assert any("report.parameterizations().show()" in code.value for code in app.code)
