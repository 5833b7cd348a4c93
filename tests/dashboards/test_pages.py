"""Every page in every state of a store, without a browser: what its widgets hold, and that nothing raises."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.dashboards import launch
from sigmascope.dashboards.main import PAGES, runs_folder
from streamlit.testing.v1 import AppTest

APP = Path(launch.__file__).with_name("app.py")


def open_page(monkeypatch: pytest.MonkeyPatch, root: Path, path: str = "overview", **query: str) -> AppTest:
    monkeypatch.setattr("sys.argv", ["app.py", str(root)])
    app = AppTest.from_function(_one_page, default_timeout=60, kwargs={"path": path})
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def _one_page(path: str) -> None:
    """What main() does, with the page given: AppTest cannot follow navigation to functions."""
    import os
    import sys

    from sigmascope.dashboards import main, view

    chosen = view.choose(main.runs_folder(sys.argv[1:], os.environ))
    main.PAGES[path][1](chosen)


def words(app: AppTest) -> str:
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for elements in kinds for element in elements).replace("\\", "")


def test_the_whole_app_starts(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    monkeypatch.setattr("sys.argv", ["app.py", str(store)])
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert app.selectbox(key="run").value == "digits-0a1b2c3d"
    assert app.selectbox(key="baseline").value == "digits-eps"


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_a_complete_run(monkeypatch: pytest.MonkeyPatch, store: Path, path: str) -> None:
    app = open_page(monkeypatch, store, path)
    assert not app.exception
    assert not app.warning
    assert not app.error
    assert [element for element in app.main if element.type == "plotly_chart"], "every page shows a figure"


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_a_partial_run(monkeypatch: pytest.MonkeyPatch, partial_store: Path, path: str) -> None:
    assert not open_page(monkeypatch, partial_store, path).exception


def test_a_partial_run_is_shown_as_what_it_is(monkeypatch: pytest.MonkeyPatch, partial_store: Path) -> None:
    said = words(open_page(monkeypatch, partial_store))
    assert "is partial" in said
    assert "expected finite samples, got NaN" in said
    assert "There is no second model" in said


def test_an_unscored_run_says_so(monkeypatch: pytest.MonkeyPatch, partial_store: Path) -> None:
    assert "No samples were scored" in words(open_page(monkeypatch, partial_store, "samplers"))
    assert "No images were kept" in words(open_page(monkeypatch, partial_store, "samples"))


def test_an_empty_folder_says_how_to_fill_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    app = open_page(monkeypatch, tmp_path)
    assert not app.exception
    assert "No runs yet" in words(app)
    assert "sigmascope run" in words(app)


def test_an_unreadable_run_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{}")
    app = open_page(monkeypatch, tmp_path)
    assert not app.exception
    assert "expected a run's record" in words(app)


def test_the_address_decides(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels", baseline="digits-v", unit="noise ε")
    assert app.selectbox(key="baseline").value == "digits-v"
    assert app.selectbox(key="unit").value == "eps"


def test_another_unit_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels")
    assert not app.number_input
    app.selectbox(key="unit").select("F").run()
    assert not app.exception
    assert app.number_input(key="sigma_data").value == 0.5


def test_the_worst_images_are_those_of_the_regressed_model(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels")
    assert "digits-regressed" in app.subheader[0].value.replace("\\", "")
    table = app.dataframe[0].value
    assert (table["candidate"] > table["baseline"]).all()


def test_where_the_runs_are() -> None:
    assert runs_folder(["here"], {"SIGMASCOPE_RUNS": "there"}) == Path("here")
    assert runs_folder([], {"SIGMASCOPE_RUNS": "there"}) == Path("there")
    assert runs_folder([], {}) == Path("runs")


def test_the_command_serves_this_machine_only(tmp_path: Path) -> None:
    arguments = launch.command(tmp_path, 8600)
    assert "--server.address=127.0.0.1" in arguments
    assert "--browser.gatherUsageStats=false" in arguments
    assert "--server.fileWatcherType=none" in arguments
    assert arguments[-2:] == ["--", str(tmp_path)]
    assert APP.read_text() == "from sigmascope.dashboards.main import main\n\nmain()\n"
