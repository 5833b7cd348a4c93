"""Which images show it: those that lose most, one image through the levels, and a level without a difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..reports import synthetic
from .test_pages import open_page, words


def test_the_images_that_lose_most_are_told_with_both_errors(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    app = open_page(monkeypatch, store, "noise-levels")
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table.columns) == ["image", "baseline", "model", "change"]
    assert table["change"].str.startswith("+").all()
    assert "pictures of both models" in words(app)


def test_one_image_is_followed_through_the_levels(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    kept = synthetic.run().tables["worst"]
    image = int(kept.loc[kept["model"] == "digits-regressed", "image"].iloc[0])
    app = open_page(monkeypatch, store, "noise-levels", image=str(image))
    assert not app.exception
    assert f"Image {image} at the noise levels where this model kept it" in words(app)


def test_a_level_without_a_difference_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = synthetic.run({"base": "eps", "twin": "eps"})
    rows = run.tables["evaluations"]
    own = rows[rows["model"] == "base"].set_index(["level", "image", "draw"])["error"]
    twin = rows["model"] == "twin"
    rows.loc[twin, "error"] = [
        own[key] for key in rows.loc[twin, ["level", "image", "draw"]].itertuples(index=False, name=None)
    ]
    synthetic.write(run, tmp_path)
    app = open_page(monkeypatch, tmp_path, "noise-levels", of="twin")
    assert not app.exception
    assert any("No difference at this level" in one.value for one in app.info)
