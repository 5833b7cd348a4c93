"""The numbers that figures of samplers draw are those of the JSON report, every one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sigmascope import reports
from sigmascope.evals.store import Store
from sigmascope.reports import machine
from sigmascope.reports.cheapest import SETTING, cheapest
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.tables import metric_names, samplers
from sigmascope.reports.trajectories import SETTING as OWN
from sigmascope.reports.trajectories import of_setting, offered_steps, settings

ROOT = Path(reports.__file__).parent


@pytest.fixture(scope="module")
def steps_report(walked: Path) -> Report:
    return assemble(Store(walked).runs())


@pytest.fixture(scope="module")
def written(steps_report: Report) -> dict[str, Any]:
    content = json.loads(machine.as_json(steps_report))
    jsonschema.validate(content, json.loads((ROOT / "schemas" / "report.json").read_text()))
    return {model["model"]: model for model in content["models"]}


def same(drawn: Any, kept: Any, scale: float = 1.0) -> None:
    """Equal but for the rounding of one product; null stands for NaN and infinity."""
    known = np.array([np.nan if one is None else one for one in kept], float)
    shown = np.asarray(drawn, float)
    np.testing.assert_allclose(np.where(np.isfinite(shown), shown, np.nan), scale * known, rtol=1e-12)


def test_quality_and_cost(report: Report) -> None:
    content = json.loads(machine.as_json(report))
    models = {model["model"]: model["metrics"] for model in content["models"]}
    for metric in metric_names(report.tables):
        drawn = {}
        for trace in report.samplers(metric).data:
            for key, value in zip(trace.customdata if trace.customdata is not None else (), trace.y, strict=False):
                drawn[tuple(key)] = value
        kept = {
            (model, *(one[name] for name in OWN), one["evaluations"]): one["value"]
            for model, rows in models.items() for one in rows if one["metric"] == metric
        }  # fmt: skip
        assert drawn == kept
        assert len(kept) == len(samplers(report.tables, metric))


def test_the_cheapest_setting(report: Report) -> None:
    content = json.loads(machine.as_json(report))
    for metric in metric_names(report.tables):
        for model in ("", *report.tables.labels):
            table = samplers(report.tables, metric)
            answer = cheapest(table[table["model"] == model] if model else table, metric)
            assert answer is not None
            kept = next(one for one in content["cheapest"] if (one["metric"], one["of"]) == (metric, model))
            assert [kept["pick"][name] for name in SETTING] == list(answer.pick[SETTING])
            assert kept["best"]["evaluations"] == answer.best["evaluations"]
            assert kept["sure"] == answer.pick["verdict"]
            assert len(kept["not_ruled_out"]) == len(answer.rivals)
            note = next(n for n in report.samplers(metric, model=model).layout.annotations if n.name == "pick")
            assert f"{kept['pick']['sampler']}, {kept['pick']['steps']} steps" in note.text


def test_step_by_step(steps_report: Report, written: dict[str, Any]) -> None:
    for _, setting in settings(steps_report.steps).iterrows():
        for one in offered_steps(of_setting(steps_report.steps, setting), whole=False):
            figure = steps_report.along(setting, one)
            for model, kept in written.items():
                steps = found(kept["steps"], setting, one)
                at = [place for place, sigma in enumerate(steps["sigma"]) if sigma is not None]
                value, low, high = ([steps[name][place] for place in at] for name in ("value", "low", "high"))
                scale = 100.0 if one.quantity == "size" else 1.0
                band, line = (trace for trace in figure.data if trace.legendgroup == model)
                same(line.y[::2], value, scale)
                same(line.x[::2], [steps["sigma"][place] for place in at])
                same(band.y[: 2 * len(at) : 2], high, scale)
                same(band.y[::-1][: 2 * len(at) : 2], low, scale)


def test_whole_walks(steps_report: Report, written: dict[str, Any]) -> None:
    whole = offered_steps(steps_report.steps, whole=True)
    every = [row for _, row in settings(steps_report.steps).iterrows()]
    figure = steps_report.walks(whole)
    for axis, one in zip(("x", "x2"), whole, strict=True):
        for model, kept in written.items():
            rows = [found(kept["steps"], setting, one) for setting in every]
            assert [row["index"] for row in rows] == [[-1]] * len(every)
            trace = next(t for t in figure.data if (t.xaxis, t.legendgroup) == (axis, model))
            same(trace.x, [row["value"][0] for row in rows])
            same(trace.error_x.array, [row["high"][0] - row["value"][0] for row in rows])
            same(trace.error_x.arrayminus, [row["value"][0] - row["low"][0] for row in rows])


def test_model_or_sampler(steps_report: Report, written: dict[str, Any]) -> None:
    answers = [(model, one) for model, kept in written.items() for one in kept["model_or_solver"]]
    assert len(answers) == len(steps_report.solver_answers) == 4
    for model, one in answers:
        figure = steps_report.model_or_solver([model], [f"{one['sampler']}, {one['steps']} steps ({one['grid']})"])
        own, sampler = figure.data[:2]
        same(own.x, one["sigma"])
        same(own.y, one["size"], 100.0)
        size = next(s for s in written[model]["steps"] if s["quantity"] == "size" and alike(s, one))
        spans = [np.log(s / (e or s / np.e)) for s, e in zip(size["sigma"], size["sigma_next"], strict=True)]
        same(sampler.y[1:-1:2] * np.array(spans), size["value"], 100.0)
        same([one["sampler_steps"]], [sum(max(value, 0.0) for value in size["value"])])
        drawn = next(a for a in steps_report.solver_answers if a.setting["model"] == model and alike(a.setting, one))
        assert (drawn.culprit, drawn.model, drawn.solver_low) == (one["larger"], one["model"], one["low"])


def test_flow_or_diffusion(steps_report: Report, written: dict[str, Any]) -> None:
    figure = steps_report.flow_or_diffusion()
    bent = {trace.y[0]: trace for trace in figure.data if trace.xaxis == "x"}
    bends = {trace.legendgroup: trace for trace in figure.data if trace.xaxis == "x2"}
    for model, kept in written.items():
        paths = kept["paths"]
        assert (paths["sampler"], paths["steps"]) == ("heun", 3)
        same(bent[model].x, [paths["straightness"]])
        same(bent[model].error_x.array, [paths["high"] - paths["straightness"]])
        same(bends[model].y[::2], paths["density"])
        same(bends[model].x[::2], paths["begin"])
        same(bends[model].x[1::2], paths["end"])


def test_films_are_listed(steps_report: Report, written: dict[str, Any]) -> None:
    assert len(steps_report.filmed)
    for model, kept in written.items():
        for film in kept["film"]:
            rows = of_setting(steps_report.filmed[steps_report.filmed["model"] == model], film)
            assert sorted(set(rows["sample"])) == film["samples"] == [0, 1]
            frames = dict(zip(film["index"], film["sigma"], strict=True))
            for at, sigma in zip(rows["index"], rows["sigma"], strict=True):
                same([sigma], [frames[at]])


def found(steps: list[dict[str, Any]], setting: Any, one: Any) -> dict[str, Any]:
    """The rows of one quantity in one setting."""
    (own,) = [
        s for s in steps
        if alike(s, setting) and (s["probe"], s["quantity"], s["slice"]) == (one.probe, one.quantity, one.slice)
    ]  # fmt: skip
    return own


def alike(one: Any, other: Any) -> bool:
    return all(one[name] == other[name] for name in OWN)
