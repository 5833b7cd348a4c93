"""Figures as files: which there are, what they are called, what is refused first, and that they hold a picture."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from sigmascope.errors import ConfigError
from sigmascope.reports import slides
from sigmascope.reports.plates import slug
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.sections import plates, sections
from sigmascope.reports.slides import faces, write_slides

from . import hostile, synthetic


def test_there_is_a_file_for_every_figure_of_the_page(report: Report) -> None:
    names = [plate.name for plate in plates(report)]
    wanted = ["overview", "noise-levels", "worst-images", "denoise-strips", "pairs", "findings"]
    assert [name for name in wanted if name in names] == wanted
    assert {"samplers-frechet-distance-digits", "samplers-class-agreement", "parameterizations"} <= set(names)
    assert {"precision-budget", "probe-raw-output", "probe-calibration", "slices-denoising-error-error"} <= set(names)
    assert [section.anchor for section in sections(report)][:2] == ["overview", "noise-levels"]


def test_names_of_files_are_harmless_and_differ_whatever_names_are() -> None:
    names = [plate.name for plate in plates(assemble([hostile.run(hostile.JOINED)]))]
    assert all(re.fullmatch(r"[a-z0-9-]{1,90}", name) for name in names)
    assert len(set(names)) == len(names)
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("Fréchet distance (digits)") == "frechet-distance-digits"
    assert slug("漢字") == "unnamed"


def test_two_metrics_whose_names_look_alike_have_two_files() -> None:
    run = synthetic.run({"a": "eps", "b": "eps"})
    scores = run.tables["metrics"].replace({"metric": {"class agreement": "Fréchet-distance, digits"}})
    run.tables = {**run.tables, "metrics": scores}
    names = [plate.name for plate in plates(assemble([run])) if plate.name.startswith("samplers")]
    assert names == ["samplers-frechet-distance-digits", "samplers-frechet-distance-digits-2"]


def test_a_figure_with_buttons_is_one_for_each_of_them(report: Report) -> None:
    (plate,) = (plate for plate in plates(report) if plate.flips)
    shown = dict(faces(plate))
    assert list(shown) == ["pairs-1-digits-eps", "pairs-2-digits-regressed", "pairs-3-difference"]
    for place, figure in enumerate(shown.values()):
        assert [bool(trace.visible) for trace in figure.data[:3]] == [place == other for other in range(3)]
        assert not figure.layout.updatemenus
        assert figure.layout.paper_bgcolor == "#ffffff"


def test_what_is_missing_is_told_before_any_work(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(slides, "find_spec", lambda _: None)
        with pytest.raises(ConfigError, match=re.escape("pip install 'sigmascope[figures]'")):
            write_slides(tmp_path, report)
    pytest.importorskip("kaleido", reason="needs kaleido")
    with monkeypatch.context() as patch:
        patch.setenv("BROWSER_PATH", str(tmp_path / "no-browser"))
        with pytest.raises(ConfigError, match="expected Chrome or Chromium"):
            write_slides(tmp_path, report)
    monkeypatch.setattr(slides, "_browser", lambda: "chromium")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "no" / "folder"):
        with pytest.raises(ConfigError, match="expected a folder"):
            write_slides(folder, report)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.browser
@pytest.mark.skipif(find_spec("kaleido") is None, reason="needs kaleido")
@pytest.mark.skipif(not (shutil.which("chromium") or shutil.which("google-chrome")), reason="needs Chromium")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_files_hold_pictures(tmp_path: Path) -> None:
    run = synthetic.run({"<b>sound</b>": "eps", "regressed": "eps"})
    run.tables = {name: run.tables[name] for name in ("levels", "evaluations")}
    report = assemble([run])
    folder = tmp_path / "figures"
    written = write_slides(folder, report)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    assert [path.stem for path in written] == [plate.name for plate in plates(report)]
    for path in written:
        with Image.open(path) as picture:
            assert picture.width == slides.WIDTH * slides.SCALE
            colours = picture.convert("RGB").getcolors(2**20)
            assert colours is not None
            assert len(colours) > 20, f"{path.name} is no picture"
            assert max(colours)[1] == (255, 255, 255)
