"""The cheapest setting within 5% of the best, what its intervals leave open, and the figure that points at it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sigmascope.reports import tables
from sigmascope.reports.cheapest import by_model, cheapest, judged
from sigmascope.reports.figures.samplers import best_so_far, dodges, reach, spread
from sigmascope.reports.figures.samplers import samplers as figure
from sigmascope.reports.report import Report, assemble

from . import synthetic

DISTANCE, SCORE = "Fréchet distance (digits)", "inception score"


def settings(values: dict[int, float], half: float, metric: str = DISTANCE, model: str = "one") -> pd.DataFrame:
    """A setting for each cost, its interval `half` to both sides."""
    rows = [
        {
            "model": model, "sampler": "heun", "steps": cost, "grid": "karras", "guidance": "", "evaluations": cost,
            "metric": metric, "value": value, "low": value - half, "high": value + half, "n": 100, "protocol": "",
            "fingerprint": "", "front": True, "contender": True,
        }
        for cost, value in values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_cheapest_within_5_percent_is_picked_and_cheaper_ones_ruled_out() -> None:
    answer = cheapest(settings({5: 2.0, 10: 1.04, 20: 1.0, 40: 1.02}, 0.001), DISTANCE)
    assert answer is not None
    assert answer.pick["evaluations"] == 10
    assert answer.best["evaluations"] == 20
    assert answer.doubt == "", "4% +- 0.2% is within 5% for sure, and 2.0 surely is not"
    assert answer.text.startswith("heun, 10 steps is the cheapest within 5% of the best: 10 evaluations")
    assert "The best is heun, 20 steps: 20 evaluations, 1.00 [0.999, 1.00]" in answer.text


def test_wide_intervals_are_told_not_hidden() -> None:
    answer = cheapest(settings({5: 1.2, 10: 1.04, 20: 1.0}, 0.2), DISTANCE)
    assert answer is not None
    assert answer.pick["evaluations"] == 10
    assert "don't prove that it is" in answer.doubt
    assert "can't tell it from one cheaper setting: heun, 5 steps (5)" in answer.doubt


def test_more_is_better_mirrors_it() -> None:
    answer = cheapest(settings({5: 5.0, 10: 9.6, 20: 10.0}, 0.01, SCORE), SCORE)
    assert answer is not None
    assert (answer.pick["evaluations"], answer.best["evaluations"]) == (10, 20)
    assert list(judged(settings({5: 9.4, 10: 9.6, 20: 10.0}, 0.01, SCORE), SCORE)["verdict"]) == [
        "beyond", "within", "within",
    ]  # fmt: skip


def test_the_verdict_is_movers_interval_of_the_difference() -> None:
    # v - 1.05 b with half widths h and 1.05 h: its interval is +- h sqrt(1 + 1.05^2) = 1.45 h
    h = 0.1
    edge = 1.05 + h * math.hypot(1, 1.05)
    found = judged(settings({1: edge + 1e-6, 2: edge - 1e-6, 9: 1.0}, h), DISTANCE)
    assert list(found["verdict"]) == ["beyond", "may be", "within"]


def test_no_interval_no_certainty_and_no_question_without_a_direction() -> None:
    bare = settings({5: 1.01, 10: 1.0}, math.nan)
    answer = cheapest(bare, DISTANCE)
    assert answer is not None
    assert "no intervals" in answer.doubt
    assert cheapest(settings({5: 1.0}, 0.1, "beauty"), "beauty") is None
    assert cheapest(settings({5: -0.01, 10: 0.02}, 0.1, "kernel distance"), "kernel distance") is None
    assert cheapest(bare.iloc[:0], DISTANCE) is None


def test_each_model_has_its_own_best() -> None:
    both = pd.concat([settings({5: 1.0}, 0.1, model="a"), settings({5: 9.0, 8: 3.0}, 0.1, model="b")])
    answers = by_model(both, DISTANCE)
    assert {model: one.pick["evaluations"] for model, one in answers.items()} == {"a": 5, "b": 8}
    whole = cheapest(both, DISTANCE)
    assert whole is not None
    assert whole.text.startswith("a with heun, 5 steps is the best and the cheapest")


def test_one_models_figure_draws_its_settings_and_names_the_pick(report: Report) -> None:
    table = tables.samplers(report.tables, DISTANCE)
    own = table[table["model"] == "digits-v"]
    drawn = report.samplers(DISTANCE, model="digits-v")
    points = [trace for trace in drawn.data if trace.hoverinfo == "text"]
    assert len(points) == len(own.groupby(["sampler", "grid", "guidance"]))
    shown = sorted((one[-1], y) for trace in points for one, y in zip(trace.customdata, trace.y, strict=True))
    assert shown == sorted(zip(own["evaluations"], own["value"], strict=True))
    answer = cheapest(own, DISTANCE)
    assert answer is not None
    notes = {note.name: note for note in drawn.layout.annotations if note.name != "line"}
    assert notes["pick"].text == f"<b>{answer.title(answer.pick)}</b>"
    strips = [shape for shape in drawn.layout.shapes if shape.type == "rect"]
    assert [(one.y0, one.y1) for one in strips] == [pytest.approx((answer.best["value"], 1.05 * answer.best["value"]))]
    bars = points[0].error_y
    rows = own[own["sampler"] == points[0].customdata[0][1]].sort_values("evaluations")
    np.testing.assert_allclose(bars.array, rows["high"] - rows["value"])


def test_the_line_of_a_model_is_its_pareto_front(report: Report) -> None:
    table = tables.samplers(report.tables, DISTANCE)
    own = table[table["model"] == "digits-flow"]
    corners = best_so_far(own, DISTANCE)
    front = tables.pareto(own["evaluations"].to_numpy(float), own["value"].to_numpy(float))
    assert list(corners.index) == list(own[front].sort_values("evaluations").index)
    line = next(t for t in report.samplers(DISTANCE).data if t.mode == "lines" and t.legendgroup == "digits-flow")
    assert list(line.y[:-1]) == list(corners["value"])


def test_what_leaves_the_scale_is_named() -> None:
    rows = settings({5: 50.0, 10: 1.5, 20: 1.0}, 0.1)
    assert reach(rows)[1] < 2
    drawn = figure(rows, DISTANCE, {"one": "#0072B2"})
    assert [n.text for n in drawn.layout.annotations if n.name == "beyond"] == ["off this scale: heun 5 (50.0)"]
    assert not [n for n in figure(rows.iloc[1:], DISTANCE, {"one": "#0072B2"}).layout.annotations if n.name == "beyond"]


def test_labels_keep_their_order_and_their_distance() -> None:
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.9, 0.1], 0.1) == [0.9, 0.1]
    assert spread([1.2, -3.0], 0.1) == pytest.approx([1.0, 0.0])
    crowded = spread([0.5] * 30, 0.1)
    assert crowded == pytest.approx(list(np.linspace(0, 1, 30)))
    assert spread([], 0.1) == []


def test_neighbours_stand_beside_each_other_unless_they_are_many() -> None:
    assert dodges(1, 1.0) == [1.0]
    assert np.prod(dodges(4, 1.0)) == pytest.approx(1.0)
    assert dodges(50, 1.0) == [1.0] * 50


def test_hostile_names_stay_text() -> None:
    name = "<img src=x onerror=alert(1)>%{y}<b>"
    drawn = assemble([synthetic.run({name: "eps", "b": "v"})]).samplers(DISTANCE)
    texts = [note.text for note in drawn.layout.annotations] + [t for trace in drawn.data for t in (trace.text or ())]
    assert not [one for one in texts if "<img" in one or "%{" in one]
