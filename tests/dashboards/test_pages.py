"""Every page in every state of a store, without a browser: what its widgets hold, and that nothing raises."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from sigmascope.dashboards import launch, samples
from sigmascope.dashboards.main import PAGES, runs_folder
from streamlit.testing.v1 import AppTest

from ..reports import synthetic

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


def opened(app: AppTest, name: str) -> AppTest:
    """With what can be taken along of a figure: nothing of it is made before."""
    app.session_state[f"{name}-offer"] = True
    return app.run()


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
    shown = [element for element in app.main if element.type == "plotly_chart"]
    assert bool(shown) == (path != "gates"), "every page shows a figure; a history takes a second run"


@pytest.mark.parametrize("state", ["partial_store", "failed_store", "old_store"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_of_a_run_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, state: str, path: str
) -> None:
    app = open_page(monkeypatch, request.getfixturevalue(state), path)
    assert not app.exception
    assert not app.error


def test_a_failed_run_says_why(monkeypatch: pytest.MonkeyPatch, failed_store: Path) -> None:
    said = words(open_page(monkeypatch, failed_store, "run"))
    assert "is failed" in said
    assert "got NaN at sigma 80" in said


def test_an_old_run_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, old_store: Path) -> None:
    assert "has no probes' curves" in words(open_page(monkeypatch, old_store, "noise-levels"))
    assert "no curves of probes" in words(open_page(monkeypatch, old_store, "run"))
    assert "asks for it with" in words(open_page(monkeypatch, old_store, "parameterizations"))


def test_the_run_page_tells_the_findings(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "run")
    told = "".join(element.proto.body for element in app.main.get("html"))
    assert "digits-regressed shrinks its noise estimate" in told
    assert "digits-v shrinks" not in told


def test_compare_tells_the_worst_first(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "compare")
    table = app.dataframe[0].value
    assert table["model"].iloc[0] == "digits-regressed"
    assert table["verdict"].iloc[0] == "worse"
    assert table["mean there, 95%"].iloc[0].startswith("+34% [")
    assert app.selectbox(key="candidate").value == "digits-regressed"


def test_compare_joins_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for run_id, models in (("first", {"base": "eps"}), ("second", {"base": "eps", "digits-regressed": "eps"})):
        made = synthetic.run(models, run_id)
        made.record = made.record.model_copy(update={"created": f"2026-01-0{len(models)}T00:00:00Z"})
        synthetic.write(made, tmp_path)
    app = open_page(monkeypatch, tmp_path, "compare", run="first")
    assert "no second model" in words(app)
    app.multiselect(key="with").select("second").run()
    opened(app, "pairs")
    assert not app.exception
    table = app.dataframe[0].value
    assert set(table["model"]) == {"base @ second", "digits-regressed"}
    assert table["against"].unique().tolist() == ["base @ first"]
    lines = next(code.value for code in app.code if "figures.report([" in code.value)
    assert lines.index("/first'") < lines.index("/second'"), "the baseline's run is named first"
    assert any("run=first" in code.value and "with=second" in code.value for code in app.code), "its link keeps both"
    again = open_page(monkeypatch, tmp_path, "compare", run="first", **{"with": "second"})
    assert again.multiselect(key="with").value == ["second"]


def test_a_link_reopens_the_view(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels", baseline="digits-v")
    app.selectbox(key="level").select("40.0").run()
    app.selectbox(key="unit").select("eps").run()
    opened(app, "noise-levels")
    link = next(code.value for code in app.code if code.value.startswith("?") or "://" in code.value)
    asked = dict(parse_qsl(link.partition("?")[2]))
    again = open_page(monkeypatch, store, "noise-levels", **asked)
    assert not again.exception
    keys = ("run", "baseline", "unit", "probe", "of", "level")
    assert [again.selectbox(key=key).value for key in keys] == [app.selectbox(key=key).value for key in keys]


def test_the_probe_of_the_worst_finding_is_shown_first(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels")
    assert app.selectbox(key="probe").value == "calibration: slope"
    app.selectbox(key="probe").select("denoising error: error").run()
    assert not app.exception
    assert app.selectbox(key="slice_denoising_error_error").options[:2] == ["class 0", "class 1"]
    assert "slice by slice" in app.subheader[0].value


def test_samples_are_sorted_and_found() -> None:
    ids, classes = [0, 1, 12, 21], {0: 0, 1: 1, 12: 2, 21: 1}
    assert samples.found(ids, classes, "") == ids
    assert samples.found(ids, classes, "12, #1") == [1, 12]
    assert samples.found(ids, classes, "class 1") == [1, 21]
    assert samples.found(ids, classes, "nothing") == []


def test_the_worst_denoised_open_by_address(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "samples", show="Worst denoised, by level")
    assert not app.exception
    assert len(app.main.get("plotly_chart")) == 4, "a strip per model"
    assert not app.sidebar.text_input, "nothing to search among them"


def test_samples_sort_by_a_score(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "samples")
    assert app.selectbox(key="sort").options == ["seed", "difference from baseline", "values out of range"]
    app.selectbox(key="sort").select("values out of range").run()
    assert not app.exception
    assert app.selectbox(key="sort_model").options[0] == "digits-eps"
    app.selectbox(key="sort").select("difference from baseline").run()
    assert not app.exception
    assert "digits-eps" not in app.selectbox(key="sort_model").options, "it is not apart from itself"
    assert app.selectbox(key="sort_model").value == "digits-regressed"


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
    assert app.selectbox(key="of").value == "digits-regressed"
    table = app.dataframe[0].value
    assert (table["model"] > table["baseline"]).all()


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


def test_files_where_it_is_started_are_no_code(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('imported from the working folder')")
    arguments = launch.command(tmp_path)
    served = [*arguments[: arguments.index("run")], "version"]
    done = subprocess.run(served, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Streamlit" in done.stdout, done.stderr
