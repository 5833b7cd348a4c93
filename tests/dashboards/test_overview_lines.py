"""Overview begins with a line per model, worst first; the single findings are folded away."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_pages import open_page


def test_the_first_line_is_the_worst_model(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "overview")
    assert not app.exception
    lines = [one.proto.body for one in app.main.get("html") if "border-left" in one.proto.body]
    assert "<b>digits-regressed</b>" in lines[0]
    assert ">worse</b>: denoising error +34%" in lines[0]
    assert not [line for line in lines[1:] if ">worse</b>" in line]
    assert [one.label for one in app.expander if "findings" in one.label]


def test_the_findings_are_told_once_opened(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    def told(**address: str) -> int:
        app = open_page(monkeypatch, store, "overview", **address)
        assert not app.exception
        return sum(one.proto.body.count('class="finding"') for one in app.main.get("html"))

    assert told() == 0
    assert told(findings="true") > 3
