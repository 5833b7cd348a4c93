"""The cheapest setting within 5% of the best, what its intervals leave open, and the figure that points at it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sigmascope.reports import tables
from sigmascope.reports.cheapest import SETTING, Answer, against, by_model, cheapest, judged
from sigmascope.reports.figures.samplers import best_so_far, dodges, reach, room, spread
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
    assert answer.headline.startswith("Not settled: the 95% intervals can't rule out a cheaper setting, of 5 evaluat")
    assert "By the values alone, heun, 10 steps is the cheapest within 5% of the best" in answer.headline
    assert answer.text.endswith("Cheaper, and not ruled out: heun, 5 steps (5).")
    alone = cheapest(settings({10: 1.04, 20: 1.0}, 0.2), DISTANCE)
    assert alone is not None
    assert alone.headline.startswith("Not settled: the 95% intervals don't prove it to be within 5% of the best.")
    assert alone.named == ""


def answered(table: pd.DataFrame, metric: str) -> Answer:
    answer = cheapest(table, metric)
    assert answer is not None
    return answer


def test_metrics_that_contradict_each_other_are_told_apart_from_those_that_may_agree() -> None:
    sharp = answered(settings({5: 2.0, 10: 1.0}, 0.01), DISTANCE)
    other = answered(settings({5: 9.0, 10: 8.0}, 0.01, SCORE), SCORE)
    vague = answered(settings({5: 9.0, 10: 8.0}, 3.0, SCORE), SCORE)
    blurred = answered(settings({5: 2.0, 10: 1.0}, 3.0), DISTANCE)
    told, contrary = against(sharp, other)
    assert contrary
    assert told.startswith("inception score names heun, 5 steps (5 evaluations): each metric is sure that the other's")
    told, contrary = against(sharp, vague)
    assert contrary
    assert told.endswith("by Fréchet distance (digits) that is surely not within 5%.")
    told, contrary = against(blurred, other)
    assert contrary
    assert told.endswith("by it heun, 10 steps is surely not within 5%.")
    told, contrary = against(blurred, vague)
    assert not contrary
    assert told.endswith("the intervals allow either.")
    assert against(sharp, blurred) == ("", False), "the same setting"
    elsewhere = answered(settings({5: 9.0}, 0.01, SCORE, model="another"), SCORE)
    assert not against(sharp, elsewhere)[1], "settings that the other metric has no value of contradict nothing"


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


def test_a_value_below_0_leaves_a_logarithmic_scale() -> None:
    drawn = figure(settings({5: -0.1, 8: 0.0, 10: 3.0, 20: 9.0}, 0.01, SCORE), SCORE, {"one": "#0072B2"})
    assert drawn.layout.yaxis.type == "log"
    (said,) = [n.text for n in drawn.layout.annotations if n.name == "beyond"]
    assert "heun 5" in said
    assert "heun 8" in said


def test_labels_keep_their_order_and_their_distance() -> None:
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert spread([0.9, 0.1], 0.1) == [0.9, 0.1]
    assert spread([1.2, -3.0], 0.1) == pytest.approx([1.0, 0.0])
    crowded = spread([0.5] * 30, 0.1)
    assert crowded == pytest.approx(list(np.linspace(0, 1, 30)))
    assert spread([], 0.1) == []


def test_neighbours_stand_beside_each_other_unless_they_are_many() -> None:
    assert dodges([[5, 10]], 1.0) == [1.0]
    shared = dodges([[5, 10]] * 4, 1.0)
    assert len(set(shared)) == 4
    assert np.prod(shared) == pytest.approx(1.0)
    assert dodges([[5]] * 50, 1.0) == [1.0] * 50
    assert dodges([[5, 5, 10], [7, 20]], 1.0) == [1.0, 1.0], "no cost is shared"


def test_what_stands_beside_its_cost_is_told_and_only_then() -> None:
    both = [settings(values, 0.1, model=name) for name, values in (("a", {5: 2.0, 10: 1.0}), ("b", {5: 1.5, 20: 0.9}))]
    colours = {"a": "#0072B2", "b": "#E69F00"}
    beside = figure(pd.concat(both, ignore_index=True), DISTANCE, colours)
    assert "side by side" in beside.layout.xaxis.title.text
    moved = next(trace for trace in beside.data if trace.customdata is not None)
    assert list(moved.x) != [5, 10]
    assert "5 network evaluations" in moved.text[0], "hover has the true number"
    alone = figure(both[0], DISTANCE, colours)
    assert alone.layout.xaxis.title.text == "network evaluations per sample"
    assert list(next(trace for trace in alone.data if trace.customdata is not None).x) == [5, 10]


@pytest.mark.parametrize("metric", [DISTANCE, SCORE])
def test_the_picks_name_stays_in_the_panel_and_covers_no_point_where_there_is_room(metric: str) -> None:
    best = {DISTANCE: {5: 1.0, 10: 2.0, 20: 2.2}, SCORE: {5: 8.6, 10: 5.0, 20: 4.0}}[metric]
    note = next(n for n in figure(settings(best, 0.01, metric), metric, {"one": "#0072B2"}).layout.annotations
                if n.name == "pick")  # fmt: skip
    assert note.ay > 0 if metric == SCORE else note.ay < 0, "the best is at the panel's edge: the name goes inwards"
    crowd = np.array([[100.0, 60.0 + 54.0]])
    assert room(100, 60, 80, "left", np.empty((0, 2)), up=True) == 54
    assert room(100, 60, 80, "left", crowd, up=True) == 84
    assert room(100, 300, 80, "left", np.empty((0, 2)), up=True) == -54


def test_the_chosen_setting_has_a_ring_and_no_point_fades() -> None:
    rows = settings({5: 2.0, 10: 1.0}, 0.1)
    chosen = rows.iloc[1][SETTING].to_dict()
    drawn = figure(rows, DISTANCE, {"one": "#0072B2"}, chosen=chosen)
    ring = next(trace for trace in drawn.data if trace.name == "chosen")
    assert (list(ring.x), list(ring.y)) == ([10], [1.0])
    points = [trace for trace in drawn.data if trace.mode == "markers" and trace.x[0] is not None]
    assert {trace.unselected.marker.opacity for trace in points} == {1}
    assert not [t for t in figure(rows, DISTANCE, {"one": "#0072B2"}).data if t.name == "chosen"]


def test_hostile_names_stay_text() -> None:
    name = "<img src=x onerror=alert(1)>%{y}<b>"
    drawn = assemble([synthetic.run({name: "eps", "b": "v"})]).samplers(DISTANCE)
    texts = [note.text for note in drawn.layout.annotations] + [t for trace in drawn.data for t in (trace.text or ())]
    assert not [one for one in texts if "<img" in one or "%{" in one]
