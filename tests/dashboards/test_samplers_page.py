"""The Samplers and Parameterizations pages: what they say where a run has the data, and where it hasn't."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sigmascope.dashboards import quality
from sigmascope.evals.store import Store
from sigmascope.reports.cheapest import cheapest
from sigmascope.reports.figures import pictures
from sigmascope.reports.figures.film import frames
from sigmascope.reports.model_or_solver import LARGER
from sigmascope.reports.model_or_solver import of_setting as larger_in
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.tables import metric_names, samplers
from sigmascope.reports.trajectories import of_quantity, of_setting, offered_steps, settings

from .test_pages import open_page, opened, words

TABS = ("Quality and cost", "Model or sampler?", "Step by step", "Film", "Flow or diffusion")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("state", ["store", "walked", "failed_store"])
def test_every_tab_in_every_state(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, state: str, tab: str
) -> None:
    app = open_page(monkeypatch, request.getfixturevalue(state), "samplers", view=tab)
    assert not app.exception
    assert not app.error
    drawn = [element for element in app.main if element.type == "plotly_chart"]
    has = {"store": {TABS[0]}, "walked": set(TABS[1:])}.get(state, set())
    assert bool(drawn or app.main.get("plotly_chart")) == (tab in has)
    assert bool(app.info) == (tab not in has), "what is missing is said"


@pytest.mark.parametrize(
    ("tab", "line"),
    [
        ("Model or sampler?", 'probes = ["local_error"]'), ("Step by step", '"straightness"'), ("Film", "film = 4"),
        ("Flow or diffusion", 'probes = ["straightness"]'),
    ],
)  # fmt: skip
def test_what_was_not_measured_is_told_with_the_line_that_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, store: Path, tab: str, line: str
) -> None:
    assert line in words(open_page(monkeypatch, store, "samplers", view=tab))


def test_the_answer_stands_above_the_figure(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "samplers")
    report = assemble(Store(store).runs())
    metric = app.selectbox(key="metric").value
    answer = cheapest(samplers(report.tables, metric), metric)
    assert answer is not None
    assert answer.headline in words(app).replace("**", "")
    assert answer.doubt in answer.headline
    assert answer.named in words(app)
    app.selectbox(key="samplers_of").select("digits-v").run()
    assert not app.exception
    own = samplers(report.tables, metric).query("model == 'digits-v'")
    one = cheapest(own, metric)
    assert one is not None
    assert one.headline in words(app).replace("**", "")


def test_the_regressed_models_answer_is_given_first(monkeypatch: pytest.MonkeyPatch, walked: Path) -> None:
    app = open_page(monkeypatch, walked, "samplers", view="Model or sampler?", blamed="two")
    report = assemble(Store(walked).runs())
    own = [one for one in report.solver_answers if one.setting["model"] == "two"]
    assert len(own) == 2
    for one in own:
        assert one.title in words(app)
        assert one.evidence in words(app).replace("**", "")
    drawn = report.model_or_solver(["two", "one"], [own[1].steps, own[0].steps])
    titles = [note.text for note in drawn.layout.annotations]
    assert [own[1].title in titles[0], own[0].title in titles[1]] == [True, True]
    assert len({drawn.layout.yaxis.range, drawn.layout.yaxis3.range}) == 1, "one setting, one scale"


def test_a_tread_of_the_staircase_is_an_interval_of_the_grid(walked: Path) -> None:
    report = assemble(Store(walked).runs())
    setting = settings(report.steps).iloc[0].to_dict()
    for one in offered_steps(of_setting(report.steps, setting), whole=False):
        rows = of_quantity(of_setting(report.steps, setting), one)
        rows = rows[(rows["model"] == "two") & np.isfinite(rows["sigma"].astype(float))].sort_values("index")
        scale = 100 if one.quantity == "size" else 1
        drawn = next(t for t in report.along(setting, one).data if t.legendgroup == "two" and t.fill is None)
        np.testing.assert_allclose(drawn.y[::2], scale * rows["value"])
        np.testing.assert_allclose(drawn.y[1::2], drawn.y[::2])
        np.testing.assert_allclose(drawn.x[::2], rows["sigma"])
        np.testing.assert_allclose(drawn.x[1:-1:2], rows["sigma_next"][:-1])


def test_numbers_of_whole_walks_are_drawn_with_their_intervals(walked: Path) -> None:
    report = assemble(Store(walked).runs())
    whole = offered_steps(report.steps, whole=True)
    assert [one.name for one in whole] == ["straightness", "straightness: chord to arc"]
    figure = report.walks(whole)
    for axis, one in (("x", whole[0]), ("x2", whole[1])):
        rows = of_quantity(report.steps, one)
        drawn = [t for t in figure.data if t.xaxis == axis]
        assert sorted(x for t in drawn for x in t.x) == pytest.approx(sorted(rows["value"]))
        assert sorted(x for t in drawn for x in t.error_x.array) == pytest.approx(sorted(rows["high"] - rows["value"]))


def test_a_film_shows_the_kept_pictures(walked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = assemble(Store(walked).runs())
    seen = []
    grid = pictures.grid
    monkeypatch.setattr(pictures, "grid", lambda rows, *rest: seen.append(rows) or grid(rows, *rest))
    report.film(settings(report.filmed).iloc[-1].to_dict(), 1)
    kept = report.runs[0].film("two", "heun", 3, "karras")
    rows = seen[0]
    assert len(rows) == 4, "state and prediction of two models"
    for index in range(4):
        np.testing.assert_array_equal(rows[2][index], kept[1, index, "state"])
    assert set(rows[3]) == {index for sample, index, picture in kept if sample == 1 and picture == "prediction"}


def test_long_films_show_the_first_and_last_step() -> None:
    assert frames(3) == [0, 1, 2]
    assert len(frames(101)) == 11
    assert (frames(101)[0], frames(101)[-1]) == (0, 100)


def test_a_parameterization_page_begins_with_what_breaks(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    said = words(open_page(monkeypatch, store, "parameterizations"))
    assert "eps is at risk at high noise" in said or "eps breaks at high noise" in said
    assert "an error: the gains are at most 1" in said


def test_the_views_link_holds_the_tab(monkeypatch: pytest.MonkeyPatch, walked: Path) -> None:
    app = open_page(monkeypatch, walked, "samplers", view="Film", film_sample="1")
    assert app.selectbox(key="film_sample").value == "1"
    opened(app, "film")
    assert any("view=Film" in code.value and "film_sample=1" in code.value for code in app.code)
    assert json.loads(app.main.get("plotly_chart")[0].proto.spec)["data"], "a picture"


CHOSEN = "digits-regressed with heun, 10 steps (karras)"


def test_a_link_reopens_the_samples_of_a_point_beside_the_baselines(
    monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    app = open_page(monkeypatch, store, "samplers", samples_of=CHOSEN)
    assert not app.exception
    assert next(one.value.replace("\\", "") for one in app.subheader) == f"Samples of {CHOSEN}"
    assert "First digits-regressed, under it its baseline digits-eps" in words(app)
    drawn, gallery = (json.loads(chart.proto.spec) for chart in app.main.get("plotly_chart"))
    assert [trace for trace in drawn["data"] if trace.get("name") == "chosen"], "the point has a ring"
    rows = gallery["layout"]["yaxis"]["ticktext"]
    assert ["digits-regressed" in rows[0], "digits-eps" in rows[1], len(rows)] == [True, True, 2]
    opened(app, "samplers")
    assert any("samples_of=digits-regressed+with+heun" in code.value for code in app.code)
    app.selectbox(key="metric").select_index(1).run()
    assert app.selectbox(key="samples_of").value == CHOSEN, "another metric keeps it"
    app.selectbox(key="samples_of").select("none").run()
    assert not [one for one in app.subheader if one.value.startswith("Samples of")]
    assert "Samples of (or click a point)" in [one.label for one in app.selectbox]


def test_a_click_chooses_the_setting_and_one_that_leaves_none_chosen_puts_it_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = {"customdata": ["digits-regressed", "heun", 10, "karras", "", 19]}
    held: dict[str, object] = {quality.FIGURE: SimpleNamespace(selection=SimpleNamespace(points=[{}, point]))}
    monkeypatch.setattr(quality.st, "session_state", held)
    quality._clicked()
    assert held["samples_of"] == CHOSEN
    held[quality.FIGURE] = SimpleNamespace(selection=SimpleNamespace(points=[]))
    quality._clicked()
    assert held["samples_of"] == quality.NONE


def test_metrics_that_contradict_each_other_are_told_above_the_figure(
    monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    report = assemble(Store(store).runs())
    table = samplers(report.tables, metric_names(report.tables)[0])
    sure = table.assign(low=table["value"] - 1e-9, high=table["value"] + 1e-9)
    monkeypatch.setattr(quality, "metric_names", lambda _: ["Fréchet distance (digits)", "inception score"])
    monkeypatch.setattr(Report, "cheapest", lambda _, metric, model: cheapest(sure.assign(metric=metric), metric))
    app = open_page(monkeypatch, store, "samplers")
    (told,) = [one.value for one in app.markdown if "Metrics contradict each other" in one.value]
    assert "each metric is sure that the other's choice is not within 5%" in told.replace("\\", "")


def test_step_by_step_says_what_the_tab_of_model_or_sampler_says(monkeypatch: pytest.MonkeyPatch, walked: Path) -> None:
    app = open_page(monkeypatch, walked, "samplers", view="Step by step")
    report = assemble(Store(walked).runs())
    answer = next(one for one in report.solver_answers if one.steps.startswith("heun"))
    assert larger_in(report.solver_answers, answer.steps) in words(app).replace("**", "")
    assert LARGER[answer.culprit] in words(app).lower()
    said = words(app)
    assert "No sampler looks wrong" not in said
    assert "Looked for and not found: a sampler that makes one step much longer than its neighbours" in said
    assert "Not looked for, as not measured: the faults that dry_run shows." in said
    (button,) = [one for one in app.button if one.label == "Model or sampler, over the noise levels"]
    assert "The sampler's steps one by one" in [one.label for one in button.click().run().button]
    assert not app.exception
