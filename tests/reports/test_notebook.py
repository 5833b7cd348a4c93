"""`sigmascope.figures`: the same figures as a report's, from ids, paths, runs or a report."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
import sigmascope
from sigmascope import figures
from sigmascope.errors import ConfigError
from sigmascope.evals.store import Run, Store
from sigmascope.reports.figures.history import history
from sigmascope.reports.history import follow
from sigmascope.reports.quantities import Curve
from sigmascope.reports.report import Report, assemble

from . import synthetic

SLOPE, CLASSES = Curve("calibration", "slope"), Curve("denoising_error", "error")
SETTING = {"sampler": "heun", "steps": 40, "grid": "karras", "guidance": ""}
PAIR = ["digits-eps", "digits-regressed"]
WORST_LEVEL = 9
"""One of the planted band."""

CALLS: dict[str, tuple[dict[str, Any], tuple[str, tuple[Any, ...]]]] = {
    "overview": ({}, ("overview", ())),
    "where": ({}, ("where", ())),
    "noise_levels": ({"unit": "eps", "curve": SLOPE}, ("noise_levels", ("eps", "light", 0.5, SLOPE))),
    "samplers": ({}, ("samplers", ("Fréchet distance (digits)",))),
    "parameterizations": ({}, ("parameterizations", ())),
    "probes": ({"curves": [SLOPE]}, ("probes", ([SLOPE],))),
    "slices": ({}, ("slices", ("digits-regressed", CLASSES))),
    "worst": ({"model": "digits-v", "level": WORST_LEVEL}, ("worst_images", ("digits-v", WORST_LEVEL))),
    "denoise_strips": ({}, ("denoise_strips", (PAIR,))),
    "pairs": ({}, ("pairs", (PAIR, SETTING))),
    "samples": ({}, ("samples", ("heun", 40, "karras"))),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    synthetic.write(synthetic.run(), root)
    return root


@pytest.fixture(scope="module")
def stored(folder: Path) -> Report:
    return assemble([Store(folder).find("latest")])


@pytest.mark.parametrize("name", list(CALLS))
def test_a_figure_is_the_reports(name: str, stored: Report) -> None:
    asked, (method, arguments) = CALLS[name]
    made: go.Figure = getattr(figures, name)(stored, **asked)
    assert made.to_json() == getattr(stored, method)(*arguments).to_json()
    assert len(made.data) > 0


def test_every_figure_of_the_notebook_is_tested_and_takes_a_theme_and_runs() -> None:
    made = {
        name: one
        for name, one in vars(figures).items()
        if inspect.isfunction(one) and one.__module__ == figures.__name__
    }
    public = {name for name in made if not name.startswith("_")}
    assert public == {*CALLS, "report", "history"}
    for name in CALLS:
        parameters = inspect.signature(made[name]).parameters
        assert next(iter(parameters)) == "runs"
        assert {"baseline", "theme"} <= set(parameters)


def test_runs_are_named_in_any_way(folder: Path, stored: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = stored.overview().to_json()
    path = Store(folder).find("latest").folder
    for named in (path, str(path), Run(path), [path]):
        assert figures.overview(named).to_json() == wanted
    monkeypatch.setenv("SIGMASCOPE_RUNS", str(folder))
    for named in ("latest", path.name, [path.name[:9]]):
        assert figures.overview(named).to_json() == wanted
    assert figures.overview().to_json() == wanted
    assert (
        figures.overview(path, baseline="digits-v").to_json() == figures.overview(stored, baseline="digits-v").to_json()
    )
    assert figures.overview(stored, theme="dark").to_json() == stored.overview("dark").to_json() != wanted


def test_several_runs_in_one_figure(tmp_path: Path, folder: Path) -> None:
    other = synthetic.write(synthetic.run({"late": "eps"}, "other-00000000"), tmp_path)
    path = Store(folder).find("latest").folder
    names = {trace.name for trace in figures.noise_levels([path, other]).data}
    assert {"digits-eps (baseline)", "late"} <= names


def test_history_is_the_pages(folder: Path) -> None:
    runs = Store(folder).runs()
    asked = ("denoising_error", "digits-v", (0.1, 1.0))
    made = figures.history(runs, model="digits-v", sigma=(0.1, 1.0))
    assert made.to_json() == history(follow(runs, *asked)).to_json()


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("overview", {"baseline": "nobody"}, "nobody"),
        ("samplers", {"metric": "FID"}, "expected one of Fréchet distance"),
        ("probes", {"curves": [Curve("none", "such")]}, "got none: such"),
        ("slices", {"curve": Curve("none", "such")}, "got none: such"),
        ("slices", {"model": "nobody"}, "got 'nobody'"),
        ("samples", {"setting": {"sampler": "heun"}}, "expected sampler, steps and grid"),
    ],
)
def test_what_is_not_there_is_refused(name: str, asked: dict[str, Any], said: str, stored: Report) -> None:
    with pytest.raises(ConfigError, match=said):
        getattr(figures, name)(stored, **asked)


def test_it_is_public() -> None:
    assert sigmascope.figures.noise_levels is figures.noise_levels
