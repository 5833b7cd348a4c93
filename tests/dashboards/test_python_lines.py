"""The lines of Python under a figure make that figure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import plotly.graph_objects as go
import pytest
from sigmascope.dashboards.downloads import python
from sigmascope.evals.store import Store
from sigmascope.reports.quantities import Curve
from sigmascope.reports.report import assemble


@pytest.mark.parametrize("made_by", ["overview()", f"probes({[Curve('calibration', 'slope')]!r})"])
def test_the_lines_make_the_figure(made_by: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    report = assemble([Store(store).find("latest")], "digits-v")
    lines = python(SimpleNamespace(report=report), made_by)  # type: ignore[arg-type]
    assert len(lines.splitlines()) <= 5
    exec(lines, {})
    names: dict[str, Any] = {"report": report, "Curve": Curve}
    assert shown[0].to_json() == eval(f"report.{made_by}", names).to_json()
