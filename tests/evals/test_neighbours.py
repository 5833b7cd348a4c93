"""Training images beside samples: which one, how near for an image that was held out, and the picture in the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.evals.data import DataSet
from sigmascope.evals.neighbours import Training
from sigmascope.evals.planning import prepare
from sigmascope.evals.records import ADDED
from sigmascope.evals.runner import execute
from sigmascope.evals.scoring import to_uint8
from sigmascope.evals.suite import read_suite

SUITE = """
schema = 1
name = "near"
[data]
source = "python:toy:data"
train = "python:toy:training"
[[models]]
name = "rote"
spec = "python:toy:rote"
[sampling]
samplers = ["euler"]
steps = [4]
seeds = "0-9"
thumbnails = 6
metrics = []
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def images(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_held_out_images_say_what_is_remarkably_near() -> None:
    """A planted copy is nearer than all of them; a held-out image itself stands where its own ratio does."""
    train, held_out = DataSet(images(300, 0), None, "train"), DataSet(images(40, 1), None, "held out")
    training = Training(train, held_out)
    kept = torch.cat((to_uint8(train.images[[17, 4]], (-1, 1)), to_uint8(held_out.images, (-1, 1))))
    rows, pictures = training.beside(kept, 42, 100)
    assert rows["nearest"].iloc[:2].tolist() == [17, 4]
    assert rows["nearest_ratio"].iloc[:2].tolist() == [0, 0]
    assert rows["nearest_heldout"].iloc[:2].tolist() == [0, 0]
    assert sorted(rows["nearest_heldout"].iloc[2:] * 40) == list(range(40))
    assert rows["nearest_tile"].between(42, 42 + len(pictures) - 1).all()
    for row in rows.itertuples():
        np.testing.assert_array_equal(pictures[row.nearest_tile - 42, :, :, 0], training.images[row.nearest, 0])
    assert len(pictures) == rows["nearest"].nunique(), "every neighbour once"


def test_pictures_that_do_not_fit_are_left_out() -> None:
    training = Training(DataSet(images(90, 0), None, "train"), DataSet(images(9, 1), None, "held out"))
    rows, pictures = training.beside(to_uint8(images(30, 2), (-1, 1)), 30, 5)
    assert len(pictures) == 5
    assert set(rows["nearest_tile"]) == {-1, 30, 31, 32, 33, 34}
    assert (rows["nearest"] >= 0).all()


def test_training_images_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"data.train: expected .* \(1, 6, 6\), got \(1, 5, 6\) in train"):
        Training(DataSet(images(9, 0)[:, :, :5], None, "train"), DataSet(images(9, 1), None, "held out"))


def test_a_model_that_learned_by_rote_is_found_out(tmp_path: Path) -> None:
    """Its samples are training images, every one: the run says which, and keeps them to be looked at."""
    (tmp_path / "suite.toml").write_text(SUITE)
    plan = prepare(read_suite(tmp_path / "suite.toml"), tmp_path)
    run = execute(plan, tmp_path)
    table = run.table("samples")
    kept, others = table[table["tile"] >= 0], table[table["tile"] < 0]
    assert len(kept) == 6
    assert (kept["nearest_ratio"] < 0.02).all()
    assert (kept["nearest_heldout"] == 0).all()
    assert (others["nearest"] == ADDED["nearest"]).all()
    assert others[["nearest_distance", "nearest_ratio", "nearest_heldout"]].isna().all(axis=None)
    samples, beside = (look("rote", "euler", 4, "karras") for look in (run.images, run.neighbours))
    assert list(samples) == list(beside) == list(range(6))
    for sample, picture in beside.items():
        assert np.abs(samples[sample].astype(int) - picture).max() <= 3
        number = int(table.set_index("sample").loc[sample, "nearest"])
        np.testing.assert_array_equal(picture[..., 0], plan.training.images[number, 0])


def test_other_training_images_are_another_run_and_none_are_not_scored(tmp_path: Path) -> None:
    def planned(text: str) -> object:
        (tmp_path / "suite.toml").write_text(text)
        return prepare(read_suite(tmp_path / "suite.toml"), tmp_path)

    named, other = planned(SUITE), planned(SUITE.replace("toy:training", "toy:other_training"))
    without = planned(SUITE.replace('train = "python:toy:training"', ""))
    assert len({named.run_id, other.run_id, without.run_id}) == 3
    run = execute(without, tmp_path)
    assert run.table("samples")["nearest_ratio"].isna().all()
    assert run.neighbours("rote", "euler", 4, "karras") == {}
