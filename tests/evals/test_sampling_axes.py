"""Guidance as an axis of a suite, and the film of a few samples, through the runner and back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.conditioning import Guidance, guided, steered
from sigmascope.evals.noise import Noise
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.samplers import GRIDS, sample, solver
from sigmascope.evals.schedules import EDM
from sigmascope.evals.scoring import to_uint8
from sigmascope.evals.store import Run, sheet_holds
from sigmascope.evals.suite import read_suite

SUITE = """
schema = 1
name = "toy"
seed = 5
micro_batch = 16
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
guidance = {scale = 3.0, null = {class_labels = 2}}
[[models]]
name = "free"
spec = "python:toy:gaussian"
[sampling]
samplers = ["heun"]
steps = [3]
seeds = "0-5"
thumbnails = 6
metrics = []
guidance = [1.0, 2.0, {scale = 2.0, interval = [0.3, 5.0]}]
film = 2
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def ran(folder: Path, text: str = SUITE) -> Run:
    path = folder / "suite.toml"
    path.write_text(text)
    return execute(prepare(read_suite(path), folder), folder / "runs")


def test_guidance_is_an_axis_of_sampling(tmp_path: Path) -> None:
    from toy import toy

    run = ran(tmp_path)
    rows = run.table("samples").drop_duplicates(["model", "guidance"]).set_index(["model", "guidance"])
    # 3 steps of Heun are 5 evaluations, two each under guidance; inside [0.3, 5] lie those at the middle level alone
    spent = {("toy", "1"): 5, ("toy", "2"): 10, ("toy", "2 at 0.3-5"): 7, ("free", ""): 5}
    assert rows["evaluations"].to_dict() == spent
    assert {cell.guidance for cell in run.record.cells if cell.model == "toy"} == {"1", "2", "2 at 0.3-5"}
    alone = guided(toy(), Guidance(2.0, {"class_labels": 2}))
    ids = torch.arange(6)
    made = sample(alone, solver("heun"), ids, Noise(5), steps=3, cond={"class_labels": ids % 3})
    expected = to_uint8(made.images, (-1.0, 1.0))
    shown, weaker = (run.images("toy", "heun", 3, "karras", name) for name in ("2", "1"))
    assert all((shown[i][..., 0] == expected[i, 0].numpy()).all() for i in range(6))
    assert any((shown[i] != weaker[i]).any() for i in range(6))
    assert run.images("toy", "heun", 3, "karras") == {}


def test_a_film_shows_the_way_from_noise_to_the_sample(tmp_path: Path) -> None:
    run = ran(tmp_path)
    film = run.film("toy", "heun", 3, "karras", "2")
    states = {(sample, index, "state") for sample in (0, 1) for index in range(4)}
    assert set(film) == states | {(sample, index, "prediction") for sample in (0, 1) for index in range(3)}
    finished = run.images("toy", "heun", 3, "karras", "2")
    for number in (0, 1):
        np.testing.assert_array_equal(film[number, 3, "state"], finished[number])
    # the first state is the noise itself, scaled by sigma / sqrt(1 + sigma^2); sigma is 20
    noise = Noise(5).normal(torch.arange(2), "initial", 0, (1, 4, 4)) * 20 / math.sqrt(401)
    expected = to_uint8(noise, (-1.0, 1.0))[:, 0].numpy()
    np.testing.assert_allclose(film[1, 0, "state"][..., 0], expected[1], atol=1)
    rows = run.table("film")
    assert set(rows["guidance"]) == {"", "1", "2", "2 at 0.3-5"}
    sigmas = rows[rows["model"] == "toy"].groupby("index")["sigma"].first().to_numpy()
    np.testing.assert_allclose(sigmas, GRIDS["karras"](EDM(0.02, 20.0), 3))


def test_a_conditional_model_without_a_null_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace("guidance = {scale = 3.0, null = {class_labels = 2}}\n", "")
    with pytest.raises(ConfigError, match=r"sampling.guidance: model 'toy': .* null = "):
        ran(tmp_path, text)
    with pytest.raises(ConfigError, match="distinct entries, got 2 more than once"):
        ran(tmp_path, SUITE.replace("[1.0, 2.0,", "[2, 2.0,"))
    with pytest.raises(ConfigError, match="expected a finite scale"):
        ran(tmp_path, SUITE.replace("[0.3, 5.0]", "[5.0, 0.3]"))


def test_steering_keeps_the_null_and_leaves_the_model_as_it_was() -> None:
    from toy import toy

    own = guided(toy(), Guidance(3.0, {"class_labels": 2}))
    other = steered(own, 2.0, (0.5, 5.0))
    assert (other.guidance.scale, other.guidance.interval, other.guidance.null) == (2.0, (0.5, 5.0), own.guidance.null)
    assert own.guidance.scale == 3.0


def test_a_film_that_no_sheet_holds_is_refused_before_it_is_made(tmp_path: Path) -> None:
    assert sheet_holds(4, 4) == 16 * (16383 // 4)
    assert sheet_holds(1024, 512) == 16 * (16383 // 256)
    # 2 x 20,000 + 1 pictures a sample of the 65,520 of 4 x 4 pixels that a sheet holds
    with pytest.raises(ConfigError, match="expected film of at most 1"):
        ran(tmp_path, SUITE.replace("steps = [3]", "steps = [20000]"))
