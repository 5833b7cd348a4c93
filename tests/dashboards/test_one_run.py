"""History before it is one: where a run alone stands, how a second is made, and whose number the mean is."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.dashboards.one_run import standing
from sigmascope.evals.headlines import ALL_LEVELS
from sigmascope.evals.store import Store
from sigmascope.reports.figures.history import history
from sigmascope.reports.history import follow

from ..reports import synthetic
from .conftest import light
from .test_pages import open_page, words

MODELS = ("base", "digits-regressed")


def test_one_run_is_a_table_and_a_command(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "gates")
    assert not app.exception
    assert "One run so far" in words(app)
    assert [code.value for code in app.code if "run SUITE" in code.value] == [
        f"sigmascope run SUITE.toml --out {store.name}"
    ]
    table = app.dataframe[-1].value
    assert list(table["squared error in the image (x₀)"]) == sorted(table["squared error in the image (x₀)"])
    assert table["against digits-eps"][table["model"] == "digits-eps"].tolist() == ["baseline"]
    assert not app.main.get("plotly_chart")
    assert "as on the Leaderboard" in words(app)
    band = tuple(app.select_slider(key="band").value)
    app.select_slider(key="band").set_value((band[0], float(synthetic.SIGMAS[5]))).run()
    assert "where the Leaderboard takes all 24" in words(app)


def test_the_second_run_brings_the_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for day in (1, 2):
        synthetic.write(light(f"run-{day}", day, models=MODELS), tmp_path)
    app = open_page(monkeypatch, tmp_path, "gates")
    assert not app.exception
    assert "One run so far" not in words(app)
    assert len(app.main.get("plotly_chart")) == 1


def test_history_and_leaderboard_have_the_same_number(store: Path) -> None:
    run = Store(store).find("latest")
    scores = Store(store).index().scores(str(Store(store).index().runs["protocol"].iloc[0]))
    ranked = scores[scores["measure"] == ALL_LEVELS].set_index("model")["value"]
    followed = {one.model: one.points[0].value for one in follow([run], "denoising_error")}
    assert followed == pytest.approx(dict(ranked), rel=1e-12)


def test_a_metric_that_is_better_higher_has_its_best_first(store: Path) -> None:
    series = follow([Store(store).find("latest")], "class agreement")
    alike = [one for one in series if one.setting == series[0].setting]
    table = standing(alike, "score", "digits-eps")
    assert len(table) > 1
    assert table["score"].is_monotonic_decreasing


def test_models_are_told_apart_by_more_than_their_colour() -> None:
    runs = [light(f"run-{day}", day, models=MODELS) for day in (1, 2, 3)]
    for one in runs:
        one.record = one.record.model_copy(update={"environment": {}})
    figure = history(follow(runs, "denoising_error"))
    first, second = figure.data
    assert first.marker.symbol != second.marker.symbol
    assert all(a < b < a + 0.5 for a, b in zip(first.x, second.x, strict=True)), "beside one another"
    assert "squared error in the image (x₀)" in figure.layout.yaxis.title.text
    assert "lower is better" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.ticktext[0] == "2026-01-01"
    same_day = [light(f"run-{hour}", 1) for hour in (1, 2)]
    for hour, one in enumerate(same_day):
        one.record = one.record.model_copy(update={"environment": {}, "created": f"2026-01-01T0{hour}:30:00Z"})
    assert list(history(follow(same_day, "denoising_error")).layout.xaxis.ticktext) == [
        "2026-01-01<br>00:30", "2026-01-01<br>01:30",
    ]  # fmt: skip
