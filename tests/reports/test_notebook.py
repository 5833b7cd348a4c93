"""`sigmascope.figures`: the same figures as a report's, from ids, paths, runs or a report."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
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
from sigmascope.reports.sampler_plates import blamed
from sigmascope.reports.sections import plates
from sigmascope.reports.trajectories import Quantity

from . import synthetic
from .test_flow_or_diffusion import run as steps_run

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


WALK = {"sampler": "euler", "steps": 4, "grid": "karras", "guidance": ""}
STEPS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "along": ("along", (WALK, Quantity("straightness", "deviation", "all", whole=False))),
    "walks": (
        "walks",
        ([Quantity("straightness", name, "all", whole=True) for name in ("straightness", "chord_to_arc")],),
    ),
    "film": ("film", (WALK, 3)),
    "flow_or_diffusion": ("flow_or_diffusion", ("Fréchet distance (digits)",)),
}
"""What is chosen where nothing is asked for, of a run whose samplers were looked at."""


class Filmed(synthetic.SyntheticRun):
    """A run that kept the way of sample 3."""

    def film(
        self, model: str, sampler: str, steps: int, grid: str, guidance: str = ""
    ) -> dict[tuple[int, int, str], np.ndarray]:
        return {(3, index, what): np.full((8, 8, 1), 60 * index, np.uint8) for index in range(4) for what in PICTURES}


PICTURES = ("state", "prediction")


@pytest.fixture(scope="module")
def looked_at() -> Report:
    made = steps_run()
    kept = [
        {"model": name, **WALK, "sample": 3, "index": index, "sigma": 9.0 / 3**index, "picture": what, "tile": 0}
        for name in ("diffused", "flowing")
        for index in range(4)
        for what in PICTURES
    ]
    return assemble([Filmed(made.id, made.record, {**made.tables, "film": pd.DataFrame(kept)})])


@pytest.mark.parametrize("name", list(STEPS))
def test_a_figure_of_a_samplers_steps_is_the_reports(name: str, looked_at: Report) -> None:
    method, arguments = STEPS[name]
    made: go.Figure = getattr(figures, name)(looked_at)
    assert made.to_json() == getattr(looked_at, method)(*arguments).to_json()
    assert len(made.data) > 0
    assert {"steps", "walks", "film", "flow-or-diffusion"} <= {plate.name for plate in plates(looked_at)}


def test_the_solver_is_blamed_beside_the_worst_model(report: Report) -> None:
    def answer(model: str, steps: str, solver: float) -> SimpleNamespace:
        return SimpleNamespace(setting={"model": model}, steps=steps, solver=solver)

    known = replace(report)
    found = [answer("digits-eps", "heun", 0.1)]
    found += [answer("digits-regressed", name, size) for name, size in (("mid", 0.2), ("most", 0.9), ("least", 0.1))]
    known.__dict__["solver_answers"] = tuple(found)
    assert blamed(known) == (["digits-regressed", "digits-eps"], ["least", "most"])
    assert blamed(report) is None
    assert figures.model_or_solver(report).to_json() == report.model_or_solver().to_json()


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
    assert public == {*CALLS, *STEPS, "model_or_solver", "report", "history"}
    for name in public - {"report", "history"}:
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
        ("film", {}, "looked at step by step"),
        ("samples", {"setting": {"sampler": "heun"}}, "expected sampler, steps and grid"),
    ],
)
def test_what_is_not_there_is_refused(name: str, asked: dict[str, Any], said: str, stored: Report) -> None:
    with pytest.raises(ConfigError, match=said):
        getattr(figures, name)(stored, **asked)


def test_it_is_public() -> None:
    assert sigmascope.figures.noise_levels is figures.noise_levels
