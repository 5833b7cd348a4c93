"""The harness: what decides a result and what must not, resuming after a kill, refusing before expensive work."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file
from sigmascope.errors import ConfigError, DataError, LoadError, ModelError, StoreError
from sigmascope.evals.cost import estimate
from sigmascope.evals.noise import Noise
from sigmascope.evals.planning import prepare
from sigmascope.evals.records import TABLES
from sigmascope.evals.runner import execute
from sigmascope.evals.store import Run, Store, Writer
from sigmascope.evals.suite import read_suite
from sigmascope.fixtures import digits

HERE = Path(__file__).parent
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
[[models]]
name = "other"
spec = "python:toy:other"
[probes]
levels = 4
draws = 2
[sampling]
samplers = ["heun", "ddpm"]
steps = [3, 5]
seeds = "0-69"
thumbnails = 5
metrics = []
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def write(folder: Path, text: str = SUITE) -> Path:
    path = folder / "suite.toml"
    path.write_text(text)
    return path


def plan_of(folder: Path, text: str = SUITE, **options: object):
    return prepare(read_suite(write(folder, text)), folder, **options)


def assert_same_results(one: Run, two: Run) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(one.table(name), two.table(name), check_exact=True)
    ours, theirs = one.images("toy", "ddpm", 5, "karras"), two.images("toy", "ddpm", 5, "karras")
    assert list(ours) == list(theirs)
    for sample, image in ours.items():
        np.testing.assert_array_equal(image, theirs[sample])


def test_batch_size_changes_no_stored_bit(tmp_path: Path) -> None:
    runs = [execute(plan_of(tmp_path, batch_size=size), tmp_path / str(size)) for size in (1, 7, 64)]
    assert len({run.id for run in runs}) == 1
    for run in runs[1:]:
        assert_same_results(runs[0], run)


def test_the_table_rows_are_what_the_suite_asked_for(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run = execute(plan, tmp_path)
    assert run.record.status == "complete"
    assert len(run.table("levels")) == 2 * 4
    assert len(run.table("evaluations")) == 2 * 4 * 2 * 40
    assert len(run.table("samples")) == 2 * 4 * 70
    evaluations = run.table("samples").groupby(["sampler", "steps"])["evaluations"].first().to_dict()
    assert evaluations == {("heun", 3): 5, ("heun", 5): 9, ("ddpm", 3): 3, ("ddpm", 5): 5}
    counted = sum(denoiser.evaluations for denoiser in plan.denoisers.values())
    assert counted == plan.evaluations == sum(cell.evaluations for cell in run.record.cells)
    assert len(run.images("other", "heun", 3, "karras")) == 5


def test_a_level_row_is_the_mean_over_its_evaluations(tmp_path: Path) -> None:
    run = execute(plan_of(tmp_path), tmp_path)
    means = run.table("evaluations").groupby(["model", "level"])["error"].mean()
    levels = run.table("levels").set_index(["model", "level"])
    np.testing.assert_allclose(levels["error"], means.reindex(levels.index), rtol=1e-12)
    assert (levels["low"] < levels["error"]).all()
    assert (levels["error"] < levels["high"]).all()


def test_a_run_narrowed_to_a_model_holds_that_model_alone(tmp_path: Path) -> None:
    run = execute(plan_of(tmp_path), tmp_path).select("other")
    assert [model.name for model in run.record.models] == ["other"] == [run.record.baseline]
    assert {cell.model for cell in run.record.cells} == {"other"}
    assert {name: set(run.table(name)["model"]) for name in ("levels", "samples")} == {
        "levels": {"other"},
        "samples": {"other"},
    }
    with pytest.raises(ConfigError, match="one of its models toy, other, got 'third'"):
        run.select("third").record


def test_both_models_meet_the_same_noise(tmp_path: Path) -> None:
    """The Gaussian oracle twice under two names: identical errors, evaluation by evaluation."""
    text = SUITE.replace("python:toy:other", "python:toy:gaussian").replace("python:toy:toy", "python:toy:gaussian")
    rows = execute(plan_of(tmp_path, text), tmp_path).table("evaluations")
    toy, other = (rows[rows["model"] == name]["error"].to_numpy() for name in ("toy", "other"))
    np.testing.assert_array_equal(toy, other)


def test_running_again_returns_the_finished_run_untouched(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run = execute(plan, tmp_path)
    before = (run.folder / "run.json").stat().st_mtime_ns
    again = execute(plan_of(tmp_path), tmp_path)
    assert again.id == run.id
    assert (again.folder / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed = 5", "seed = 6"),
        ("draws = 2", "draws = 3"),
        ('"0-69"', '"0-70"'),
        ("micro_batch = 16", "micro_batch = 8"),
    ],
)
def test_whatever_decides_a_result_changes_the_id(tmp_path: Path, old: str, new: str) -> None:
    assert plan_of(tmp_path).run_id != plan_of(tmp_path, SUITE.replace(old, new)).run_id


KILLED = """
import os, signal, sys
from pathlib import Path
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import read_suite
from sigmascope.fixtures import digits

class Killer:
    cells = 0
    def cell(self, title, done):
        self.cells += done
    def advance(self, evaluations):
        if self.cells == 4:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
execute(prepare(read_suite(folder / "suite.toml"), folder), folder / "killed", Killer())
"""


def test_kill_nine_then_resume_gives_the_same_results(tmp_path: Path) -> None:
    write(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (partial,) = Store(tmp_path / "killed").runs()
    assert partial.record.status == "partial"
    assert len(partial.record.cells) == 4
    assert len(partial.table("levels")) == 4  # what is finished can be read

    plan = plan_of(tmp_path)
    resumed = execute(plan, tmp_path / "killed")
    finished = sum(cell.evaluations for cell in plan.cells[:4])
    assert sum(denoiser.evaluations for denoiser in plan.denoisers.values()) == plan.evaluations - finished
    assert_same_results(resumed, execute(plan_of(tmp_path), tmp_path / "whole"))
    assert {path.name for path in (tmp_path / "killed").iterdir()} - {".index.parquet"} == {resumed.id}


AT_THE_END = """
import os, signal, sys, shutil
from pathlib import Path
from sigmascope.evals import store
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import read_suite
from sigmascope.fixtures import digits

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

folder, window = Path(sys.argv[1]), sys.argv[2]
plan = prepare(read_suite(folder / "suite.toml"), folder)
replace = os.replace
if window == "before":  # gathered, not yet renamed
    store.os.replace = lambda here, there: die() if Path(there).name == plan.run_id else replace(here, there)
else:  # renamed, the partial folder still there
    store.shutil.rmtree = lambda path, **options: die() if str(path).endswith(".partial") else None
execute(plan, folder / "killed")
"""


@pytest.mark.parametrize("window", ["before", "after"])
def test_killed_while_finishing_leaves_one_run_and_no_litter(tmp_path: Path, window: str) -> None:
    write(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", AT_THE_END, str(tmp_path), window]
    assert subprocess.run(arguments, env=environment, check=False).returncode == -signal.SIGKILL
    (found,) = Store(tmp_path / "killed").runs()
    assert found.record.status == ("partial" if window == "before" else "complete")
    run = execute(plan_of(tmp_path), tmp_path / "killed")
    assert {path.name for path in (tmp_path / "killed").iterdir()} - {".index.parquet"} == {run.id}
    assert run.record.created == found.record.created


def test_two_sessions_do_not_work_on_one_run(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    with Writer(tmp_path, plan.run_id), pytest.raises(StoreError, match="another session is at work"):
        execute(plan, tmp_path)


@pytest.mark.parametrize("change", ["weights", "table", "config", "wrapped"])
def test_a_changed_model_is_another_run(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same suite, same spec: only what the spec leads to has changed."""
    if change == "wrapped":
        before = plan_of(tmp_path).run_id
        toy = importlib.import_module("toy")
        monkeypatch.setattr(toy, "other", toy.gaussian)
        assert plan_of(tmp_path).run_id != before
        return
    source = Path(digits.__file__).parent / "models" / "digits-eps"
    folder = tmp_path / "model"
    shutil.copytree(source, folder)
    text = (
        SUITE.split("[probes")[0].replace("python:toy:data", "python:sigmascope.fixtures.digits:heldout")
        + '[sampling]\nsamplers = ["euler"]\nsteps = [2]\nseeds = "0-3"\nmetrics = []\n'
    )
    text = text.replace("python:toy:toy", "diffusers:model").replace("python:toy:other", "diffusers:model")
    before = plan_of(tmp_path, text, limit=4).run_id
    assert plan_of(tmp_path, text, limit=4).run_id == before
    if change == "weights":
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        name = next(iter(tensors))
        save_file({**tensors, name: tensors[name] + 1e-3}, path)
    else:
        path, key, value = (
            (folder / "scheduler" / "scheduler_config.json", "beta_end", 0.012)
            if change == "table"
            else (folder / "unet" / "config.json", "norm_eps", 0.5)
        )
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert plan_of(tmp_path, text, limit=4).run_id != before


def test_a_model_that_returns_nan_fails_its_cells_and_spares_the_others(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SUITE.replace("python:toy:other", "python:toy:broken"))
    with pytest.raises(ModelError, match=r"(?s)6 of 11 cells failed.*finite values, got NaN.*sigma"):
        execute(plan, tmp_path)
    (run,) = Store(tmp_path).runs()
    assert run.record.status == "failed"
    assert {cell.model for cell in run.record.cells if cell.error} == {"other"}
    assert set(run.table("levels")["model"]) == {"toy"}
    assert not (tmp_path / plan.run_id).exists()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("python:toy:other", "python:toy:not_a_denoiser", LoadError, "return a Denoiser, got int"),
        ("python:toy:other", "python:toy:nothing", LoadError, "a function 'nothing'"),
        ("python:toy:other", "python:toy:wrong_shape", DataError, r"\(2, 4, 4\).*\(1, 4, 4\)"),
        ("python:toy:other", "diffusers:nowhere", LoadError, "no such folder"),
        ("levels = 4", "levels = 4\nsigma_max = 50", ConfigError, r"sigma: expected within \[0.02, 20\].*50"),
        ('"heun"', '"diffusers:IPNDMScheduler"', ConfigError, "IPNDMScheduler: expected"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    tmp_path: Path, old: str, new: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error, match=message):
        plan_of(tmp_path, SUITE.replace(old, new))
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="expected a folder that can be written"):
        execute(plan_of(tmp_path), tmp_path / "file")


def test_a_full_disk_leaves_no_half_written_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: pd.DataFrame, path: Path, **options: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(StoreError, match="No space left"):
            execute(plan_of(tmp_path), tmp_path)
    (run,) = Store(tmp_path).runs()
    assert list((run.folder / "cells").iterdir()) == []
    assert execute(plan_of(tmp_path), tmp_path).record.status == "complete"


def test_limit_uses_fewer_images_and_samples(tmp_path: Path) -> None:
    run = execute(plan_of(tmp_path, limit=6), tmp_path)
    assert run.table("evaluations")["image"].nunique() == 6
    assert run.table("samples")["sample"].nunique() == 6


def test_samples_depend_on_id_not_on_how_many_are_asked_for(tmp_path: Path) -> None:
    few = execute(plan_of(tmp_path, limit=6), tmp_path / "few").images("toy", "ddpm", 5, "karras")
    many = execute(plan_of(tmp_path), tmp_path / "many").images("toy", "ddpm", 5, "karras")
    for sample, image in many.items():
        np.testing.assert_array_equal(image, few[sample])


def test_estimate_counts_every_evaluation(tmp_path: Path) -> None:
    small, large = estimate(plan_of(tmp_path, limit=2)), estimate(plan_of(tmp_path))
    assert small.seconds > 0
    assert 0 < small.memory_bytes <= large.memory_bytes


def test_the_created_time_and_seed_are_recorded(tmp_path: Path) -> None:
    run = execute(plan_of(tmp_path), tmp_path)
    assert run.record.fingerprint["seed"] == "5"
    assert abs(time.time() - pd.Timestamp(run.record.created).timestamp()) < 60
    assert Noise(5) == Noise(int(run.record.fingerprint["seed"]))
