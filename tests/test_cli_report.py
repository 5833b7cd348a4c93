"""`sigmascope report` and `compare`: which files they write, and what they refuse before they read a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sigmascope.cli_report import Picture, compare, report
from sigmascope.errors import ConfigError
from sigmascope.reports import html, slides

from .reports import synthetic


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    run = synthetic.run({"a": "eps", "b": "eps", "regressed": "eps"})
    run.tables = {name: run.tables[name] for name in ("levels", "evaluations", "samples", "metrics", "curves", "worst")}
    synthetic.write(run, root)
    return root


def test_one_command_writes_all_formats(folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"report.{ending}" for ending in ("json", "md", "html")]
    report(["latest"], files, runs_folder=folder)
    content = json.loads(files[0].read_text())
    assert content["command"] == f"sigmascope report latest --runs {folder}"
    assert content["command"] in files[1].read_text()
    assert content["command"] in files[2].read_text()
    assert [one["model"] for one in content["models"]] == ["a", "b", "regressed"]


def test_three_models_are_ranked_in_what_compare_writes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare("latest:a", ["latest:b", "latest:regressed"], folder, [tmp_path / "c.json", tmp_path / "c.md"])
    ranks = json.loads((tmp_path / "c.json").read_text())["rankings"][0]["ranks"]
    assert ranks[-1]["model"] == "regressed"
    assert "3. `regressed`" in (tmp_path / "c.md").read_text()
    assert "3. regressed" in " ".join(capsys.readouterr().out.split())


def test_without_a_file_or_figures_it_is_the_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(html, "page", lambda *_: "a page")
    monkeypatch.setattr(slides, "check_slides", lambda _: None)
    monkeypatch.setattr(slides, "write_slides", lambda *asked: [Path("one"), Path(str(asked[2]))])
    report(["latest"], figures=tmp_path / "figures", picture=Picture.svg, runs_folder=folder)
    assert list(tmp_path.iterdir()) == []
    assert "2 figures in" in capsys.readouterr().out
    report(["latest"], runs_folder=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_can_not_be_written_is_refused_before_any_run_is_read(tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "folder"
    with pytest.raises(ConfigError, match="expected a file ending in"):
        report(["latest"], [tmp_path / "report.pdf"], runs_folder=nowhere)
    with pytest.raises(ConfigError, match="figures as files"):
        report(["latest"], [tmp_path / "report.html"], figures=nowhere, runs_folder=nowhere)
    with pytest.raises(ConfigError, match="figures as files"):
        compare("a", ["b"], nowhere, figures=nowhere)
    assert list(tmp_path.iterdir()) == []
