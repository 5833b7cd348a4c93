"""On Compare every figure can be taken along, its lines make it again, and a cell leads to its images."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import plotly.graph_objects as go
import pytest
import typer
from sigmascope import cli
from sigmascope.dashboards import attributed, compare, view
from sigmascope.evals.store import Store
from sigmascope.reports.attribution_document import stored
from sigmascope.reports.figures.attribution import attribution
from sigmascope.reports.kept import attribution_of
from sigmascope.reports.report import assemble

from .test_gates import WEIGHTS, contender, keep_made, pair
from .test_pages import open_page

__all__ = ["pair"]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What stands under the figures, by name: figure, table, Python, command."""
    found: dict[str, tuple[Any, ...]] = {}

    def offer(_: object, name: str, figure: object, table: object, made_by: str, command: str = "") -> None:
        found[name] = (figure, table, made_by, command)

    for module in (compare, attributed):
        monkeypatch.setattr(module, "offer", offer)
    return found


@pytest.mark.usefixtures("offered")
def test_every_figure_has_a_download(
    monkeypatch: pytest.MonkeyPatch, pair: Path, offered: dict[str, tuple[Any, ...]]
) -> None:
    keep_made(pair, contender(WEIGHTS[0]), contender(WEIGHTS[1]))
    app = open_page(monkeypatch, pair, "compare")
    assert not app.exception
    assert {"where", "levels", "attribution"} <= set(offered)
    table = offered["where"][1]()
    assert list(table.columns[:3]) == ["model", "against", "level"]
    assert set(table["model"]) == {"digits-regressed"}


def test_the_lines_make_the_attribution(
    monkeypatch: pytest.MonkeyPatch, pair: Path, offered: dict[str, tuple[Any, ...]]
) -> None:
    keep_made(pair, contender(WEIGHTS[0]), contender(WEIGHTS[1]))
    open_page(monkeypatch, pair, "compare")
    _, table, lines, command = offered["attribution"]
    assert len(table()) >= 3
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    exec(lines, {})
    run = Store(pair).find("pair")
    kept = attribution_of(pair, (run, "base"), (run, "digits-regressed"))
    assert kept is not None
    found, _ = stored(kept.attribution)
    assert shown[0].to_json() == attribution(found, found.metrics[0]).to_json()
    _parsed(command)


def test_the_command_asks_as_it_was_asked() -> None:
    settings = {"steps": "12, log_snr", "seeds": "0-63, noise 3"}
    kept = SimpleNamespace(base=SimpleNamespace(sampler="euler"), attribution=SimpleNamespace(settings=settings))
    uniform = SimpleNamespace(bands=SimpleNamespace(edges=(8.0, 4.0, 2.0, 1.0), count=3), exact=True)
    flags = attributed._asked(kept, uniform)  # type: ignore[arg-type]
    assert flags == " --sampler euler --steps 12 --grid log_snr --seeds 0-63 --seed 3 --bands 3"
    cut = SimpleNamespace(bands=SimpleNamespace(edges=(8.0, 5.0, 2.5, 1.0), count=3), exact=False)
    flags = attributed._asked(kept, cut)  # type: ignore[arg-type]
    assert flags.endswith("--edges 5.0,2.5 --screen")
    _parsed(f"sigmascope attribute a b{flags}")


def _parsed(command: str) -> None:
    """The command line knows every flag; nothing is run."""
    program, name, *arguments = shlex.split(command)
    assert program == "sigmascope"
    typer.main.get_command(cli.app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_the_lines_make_the_cells(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sigmascope.dashboards.downloads import python

    report = assemble([Store(store).find("latest")])
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    exec(python(SimpleNamespace(report=report), "where()"), {})  # type: ignore[arg-type]
    assert shown[0].to_json() == report.where().to_json()


def test_a_click_on_a_cell_opens_its_level(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the browser tells a click on the regressed model's worst cell."""
    report = assemble([Store(store).find("latest")])
    figure = report.where()
    level = int(report.comparisons[0].levels["ratio"].idxmax())
    cell = next(one for one in figure.data[1].customdata if list(one) == ["digits-regressed", level])
    gone: list[tuple[str, dict[str, str]]] = []
    clicked = SimpleNamespace(selection=SimpleNamespace(points=[{"customdata": list(cell)}]))
    monkeypatch.setattr(compare, "show", lambda *_, **__: clicked)
    monkeypatch.setattr(compare, "gone_to", lambda _, path, **chosen: gone.append((path, chosen)))
    monkeypatch.setattr(compare, "offer", lambda *_, **__: None)
    compare._verdicts(SimpleNamespace(report=report, theme="light", run=report.runs[0]))  # type: ignore[arg-type]
    ((path, chosen),) = gone
    assert path == "noise-levels"
    assert chosen == view.at_level(SimpleNamespace(report=report), "digits-regressed", level)  # type: ignore[arg-type]
