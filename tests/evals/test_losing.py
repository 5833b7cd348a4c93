"""Pictures of images that lose most: the right ones, the very answers of the pass, killed or not, in any batches."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sigmascope.errors import ModelError
from sigmascope.evals import cells, losing
from sigmascope.evals.planning import Plan, prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.store import Run, Writer
from sigmascope.evals.suite import read_suite
from sigmascope.reports import tables
from sigmascope.reports.kept_images import kept_images
from sigmascope.reports.report import assemble

SUITE = """
schema = 1
name = "toy"
micro_batch = 16
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
[[models]]
name = "other"
spec = "python:toy:other"
[probes]
levels = 4
draws = 4
worst = 2
"""
IMAGES, LEVELS, DRAWS, KEPT = 40, 4, 4, 4

pytestmark = pytest.mark.usefixtures("toy_on_path")


def plan_of(folder: Path, batch_size: int = 1024, text: str = SUITE) -> Plan:
    folder.mkdir(exist_ok=True)
    path = folder / "suite.toml"
    path.write_text(text)
    return prepare(read_suite(path), folder, batch_size=batch_size)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        importlib.invalidate_caches()
        return execute(plan_of(tmp_path_factory.mktemp("made")), tmp_path_factory.mktemp("runs"))


def test_the_dry_run_counts_them_and_no_less_is_done(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    cell = plan.cells[-1]
    assert (cell.kind, cell.model, cell.evaluations) == ("losses", "other", 2 * LEVELS * KEPT)
    run = execute(plan, tmp_path / "runs")
    asked = sum(denoiser.evaluations for denoiser in plan.denoisers.values())
    assert asked == plan.evaluations == sum(cell.evaluations for cell in run.record.cells)


def test_they_are_those_that_the_reader_is_told(made: Run) -> None:
    rows, kept = made.table("evaluations"), made.table("losses")
    for level in range(LEVELS):
        told = tables.worst_images(rows, "toy", "other", level, KEPT)["image"].tolist()
        for model in ("toy", "other"):
            shown = kept[(kept["level"] == level) & (kept["model"] == model)]
            assert sorted(shown["image"]) == sorted(told)


def test_the_answers_are_those_of_the_pass(made: Run) -> None:
    """Bit for bit: the same noise, and rows of a network don't see each other."""
    keys = ["model", "level", "image", "draw"]
    both = made.table("losses").merge(made.table("evaluations"), on=keys, suffixes=("", "_pass"))
    assert len(both) == 2 * LEVELS * KEPT
    assert both["error"].equals(both["error_pass"])
    assert both["label"].tolist() == both["label_pass"].tolist()


def test_the_pictures_are_of_both_models(made: Run) -> None:
    """One noisy input and one truth, two answers; an answer that is nearer to the truth has the smaller error."""
    rows, pictures = made.table("losses"), made.losses("other")
    assert sorted(pictures) == list(range(4 * len(rows)))
    for _, pair in rows.groupby(["level", "image", "draw"]):
        (first, second) = (int(tile) for tile in pair["tile"])
        for same in (0, 2):
            assert np.array_equal(pictures[first + same], pictures[second + same])
    assert any(not np.array_equal(pictures[int(t) + 1], pictures[int(t) + 2]) for t in rows["tile"])


@pytest.mark.parametrize("batch_size", [7, 64])
def test_batches_change_nothing(made: Run, tmp_path: Path, batch_size: int) -> None:
    again = execute(plan_of(tmp_path, batch_size), tmp_path / "runs")
    assert again.id == made.id
    pd.testing.assert_frame_equal(again.table("losses"), made.table("losses"))
    for tile, picture in made.losses("other").items():
        assert np.array_equal(again.losses("other")[tile], picture)


def test_a_run_that_was_killed_goes_on(made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cells, "pictured", killed)
        with pytest.raises(KeyboardInterrupt):
            execute(plan_of(tmp_path), tmp_path / "runs")
    plan = plan_of(tmp_path)
    again = execute(plan, tmp_path / "runs")
    assert sum(one.evaluations for one in plan.denoisers.values()) == 2 * LEVELS * KEPT, "only what was left"
    pd.testing.assert_frame_equal(again.table("losses"), made.table("losses"))


def test_they_wait_for_the_errors_of_both(tmp_path: Path) -> None:
    """A cell whose model failed is tried again later, and so are the pictures that need it."""
    plan = plan_of(tmp_path)
    with Writer(tmp_path / "runs", plan.run_id) as writer:
        writer.write_record(execute(plan, tmp_path / "other").record.model_copy(update={"cells": []}))
        with pytest.raises(ModelError, match="expected the errors of 'toy', got none"):
            cells.work(plan, plan.cells[-1], lambda _: None, Run(writer.partial))


def test_a_report_shows_both_answers_of_each(made: Run) -> None:
    report = assemble([made])
    for level in range(LEVELS):
        told = set(tables.worst_images(made.table("evaluations"), "toy", "other", level, KEPT)["image"])
        own, base = (report.worst(model, level)[0] for model in ("other", "toy"))
        assert told <= set(own["image"]) & set(base["image"])
    rows, pictures = kept_images(made, "other")
    assert not rows.duplicated(["level", "image", "draw"]).any()
    assert set(range(4)) <= set(rows["rank"])
    truths = made.table("losses").query("model == 'other'")
    for row in truths.itertuples():
        match = rows[(rows["level"] == row.level) & (rows["image"] == row.image) & (rows["draw"] == row.draw)]
        assert np.array_equal(pictures[int(match["tile"].iloc[0]) + 2], made.losses("other")[int(row.tile) + 2])


def test_a_run_of_before_is_found_and_shown_as_it_was(made: Run, tmp_path: Path) -> None:
    old = execute(plan_of(tmp_path), tmp_path / "runs")
    (old.folder / "losses.parquet").unlink()
    again = execute(plan_of(tmp_path), tmp_path / "runs")
    assert again.id == old.id == made.id
    rows, pictures = kept_images(again, "other")
    assert len(rows) == len(again.table("worst").query("model == 'other'"))
    assert set(pictures) == set(again.worst("other"))


def test_planted_losses_are_chosen_and_ties_go_to_the_lower_image() -> None:
    at = [(level, image, draw) for level in (0, 1) for image in range(5) for draw in (0, 1)]
    base = pd.DataFrame(at, columns=["level", "image", "draw"]).assign(error=1.0)
    worse = base.copy()
    worse.loc[(worse["level"] == 0) & (worse["image"] == 3) & (worse["draw"] == 1), "error"] = 2.0
    worse.loc[(worse["level"] == 0) & (worse["image"] == 1), "error"] = 0.5
    found = losing.losing(base, worse.sample(frac=1, random_state=0), 2)
    assert [tuple(row) for row in found.to_numpy()] == [(0, 3, 1), (0, 0, 0), (1, 0, 0), (1, 1, 0)]


@pytest.mark.parametrize(
    ("worst", "evaluations", "images", "shape", "count"),
    [
        (4, 24 * 1200, 600, (1, 8, 8), 8), (4, 24 * 200, 100, (1, 8, 8), 5), (4, 24 * 20, 20, (1, 8, 8), 0),
        (0, 24 * 1200, 600, (1, 8, 8), 0), (4, 24 * 1200, 600, (2,), 0), (64, 24 * 10**6, 9, (1, 8, 8), 9),
        (64, 24 * 10**6, 10**6, (3, 512, 512), 5),
    ],
)  # fmt: skip
def test_they_cost_little_and_fit_a_sheet(
    worst: int, evaluations: int, images: int, shape: tuple[int, ...], count: int
) -> None:
    assert losing.kept_of_a_level(worst, evaluations, 24, images, shape) == count
    assert 2 * 24 * count <= evaluations / losing.SHARE
