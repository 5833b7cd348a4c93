"""The Run page in every state of a run, and the Samples page where samples have neighbours, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.evals.journal import Progress
from sigmascope.evals.records import PendingCell
from sigmascope.evals.store import Run, Writer
from streamlit.testing.v1 import AppTest

from ..reports import synthetic
from .test_pages import open_page, opened, words

PENDING = [
    PendingCell(key=f"later{n}", kind="sample", title=f"heun, {n} steps", model="alone", evaluations=1024)
    for n in (10, 20)
]


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """Half of a run: one cell done, one failed, two to come, and a log."""
    run = synthetic.run({"alone": "eps"})
    folder = synthetic.write_partial(run, tmp_path)
    with Writer(tmp_path, run.id) as writer:
        writer.write_record(Run(folder).record.model_copy(update={"pending": PENDING}))
    (folder / "log.txt").write_text("".join(f"2026-01-01T00:00:00Z  entry <b>{n}</b>\n" for n in range(250)))
    return tmp_path


def bars(app: AppTest) -> list[str]:
    return [element.proto.text for element in app.get("progress")]


def numbers(app: AppTest) -> str:
    return "".join(element.proto.body for element in app.main.get("html"))


def test_a_run_at_work_says_what_it_does_and_when_it_will_be_done(
    monkeypatch: pytest.MonkeyPatch, unfinished: Path
) -> None:
    with Writer(unfinished, "digits-0a1b2c3d") as writer:
        now = Progress(title="alone · heun, 10 steps", done=3584, total=5120, before=3072, seconds=4.0)
        (writer.partial / "progress.json").write_text(now.model_dump_json())
        app = open_page(monkeypatch, unfinished, "run")
    assert not app.exception
    assert ">running<" in numbers(app)
    assert ">2 of 4, 1 failed<" in numbers(app)
    assert any("2 of 4 cells, 70% of 5,120" in text and "128 network evaluations/s" in text for text in bars(app))
    assert any("about 12 s left" in text for text in bars(app))
    assert "Now: alone · heun, 10 steps" in words(app)
    table = next(frame.value for frame in app.dataframe if "result" in frame.value)
    assert table["result"].tolist() == ["done", "expected finite samples, got NaN", "to do", "to do"]
    assert not app.warning


def test_an_interrupted_run_is_no_run_at_work(monkeypatch: pytest.MonkeyPatch, unfinished: Path) -> None:
    """The same folder, with what a killed session leaves: its lock's file and its last progress."""
    (unfinished / ".digits-0a1b2c3d.lock").touch()
    now = Progress(title="alone · heun, 10 steps", done=3584, total=5120, before=3072, seconds=4.0)
    (unfinished / "digits-0a1b2c3d.partial" / "progress.json").write_text(now.model_dump_json())
    app = open_page(monkeypatch, unfinished, "run")
    assert ">interrupted<" in numbers(app)
    assert "goes on where it stopped" in words(app)
    assert "Now:" not in words(app)
    assert bars(app) == ["2 of 4 cells"]


def test_a_failed_cell_is_told_in_full(monkeypatch: pytest.MonkeyPatch, failed_store: Path) -> None:
    app = open_page(monkeypatch, failed_store, "run")
    assert ">failed<" in numbers(app)
    assert "expected finite predictions, got NaN at sigma 80" in [code.value for code in app.code]
    assert bars(app) == [], "nothing is to come"


def test_the_log_is_shown_as_text_and_offered_whole(monkeypatch: pytest.MonkeyPatch, unfinished: Path) -> None:
    app = open_page(monkeypatch, unfinished, "run", about="Log")
    (shown,) = (code.value for code in app.code if "entry" in code.value)
    assert shown.splitlines()[-1].endswith("entry <b>249</b>")
    assert len(shown.splitlines()) == 200
    assert "The last 200 of 250 lines" in words(app)
    assert "Download the log" in [button.proto.label for button in app.main.get("download_button")]


def test_a_run_without_a_log_says_so(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "run", about="Log")
    assert "kept no log" in words(app)
    assert not app.warning


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose samples have nearest training images: sample 5 of digits-v is a copy."""
    run = synthetic.run({"digits-eps": "eps", "digits-v": "v"})
    rows = run.tables["samples"]
    near = (rows["sample"] == 5) & (rows["model"] == "digits-v")
    run.tables["samples"] = rows.assign(
        nearest=100 + rows["sample"], nearest_tile=rows["tile"], nearest_distance=0.1,
        nearest_ratio=(0.5 + rows["sample"] / 100).where(~near, 0.01), nearest_heldout=0.4,
    )  # fmt: skip
    root = tmp_path_factory.mktemp("neighbours")
    synthetic.write(run, root)
    return root


def test_candidates_for_memories_come_first(monkeypatch: pytest.MonkeyPatch, neighbours: Path) -> None:
    app = open_page(monkeypatch, neighbours, "samples", sort="nearest to training", sort_model="digits-v")
    assert not app.exception
    assert app.selectbox(key="sample").value == 5
    assert "0 would be a copy" in words(app)
    link = next(code.value for code in opened(app, "samples").code if code.value.startswith("?") or "://" in code.value)
    assert "sort=nearest+to+training" in link


def test_a_seed_is_chosen_by_its_link(monkeypatch: pytest.MonkeyPatch, neighbours: Path) -> None:
    app = open_page(monkeypatch, neighbours, "samples", sample="7")
    assert app.selectbox(key="sample").value == 7
    assert not app.exception
    found = open_page(monkeypatch, neighbours, "samples", search="class 3")
    assert found.selectbox(key="sample").options == ["3"]


def test_without_training_images_it_says_not_scored(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "samples")
    assert "not scored" in words(app)
    assert not any("training" in option for option in app.selectbox(key="sort").options)


def test_many_seeds_are_shown_in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = synthetic.run({"digits-eps": "eps"})
    run.tables["samples"] = synthetic.samples(run.tables["metrics"], kept=40)
    synthetic.write(run, tmp_path)
    app = open_page(monkeypatch, tmp_path, "samples")
    assert app.selectbox(key="part").options == ["1 to 32", "33 to 40"]
    app.selectbox(key="part").select("33 to 40").run()
    assert not app.exception
    assert "40 seeds, 33 to 40 shown" in words(app)
