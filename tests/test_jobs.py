"""The jobs people come for, on real trained models, through the command line."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sigmascope import cli
from sigmascope.evals.store import Run, Store
from sigmascope.fixtures import digits
from sigmascope.reports.compare import compare_levels

MODELS = Path(digits.__file__).parent / "models"
SUITE = f"""
schema = 1
name = "digits"
seed = 0
[data]
source = "python:sigmascope.fixtures.digits:heldout"
limit = 120
[[models]]
name = "eps"
spec = "diffusers:{MODELS}/digits-eps"
[[models]]
name = "again"
spec = "diffusers:{MODELS}/digits-eps"
[[models]]
name = "regressed"
spec = "diffusers:{MODELS}/digits-regressed"
[[models]]
name = "v"
spec = "diffusers:{MODELS}/digits-v"
[[models]]
name = "flow"
spec = "diffusers:{MODELS}/digits-flow"
[probes]
levels = 16
draws = 1
"""
POLICY = """
schema = 1
[[gate]]
metric = "denoising_error"
rule = "noninferior"
margin = { rel = 0.02 }
"""


def invoke(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "suite.toml").write_text(SUITE)
    (folder / "gate.toml").write_text(POLICY)
    assert invoke("run", str(folder / "suite.toml"), "--out", str(folder / "runs"), "--display", "none") == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return Store(folder / "runs").find("latest")


def gate(folder: Path, candidate: str, baseline: str, *more: str) -> int:
    paths = ["--runs", str(folder / "runs"), "--policy", str(folder / "gate.toml")]
    return invoke("gate", candidate, "--baseline", baseline, *paths, *more)


def test_the_regressed_model_differs_in_its_band_and_nowhere_else(run: Run) -> None:
    """Simultaneous 95% intervals over all levels, at a margin of zero: any sure difference counts."""
    band = json.loads((MODELS / "digits-regressed" / "regression.json").read_text())
    levels = compare_levels(run.table("evaluations"), "eps", "regressed")
    differs = (levels["band_low"] > 1) | (levels["band_high"] < 1)
    inside = levels["sigma"].between(band["sigma_low"], band["sigma_high"])
    assert inside.sum() >= 2
    pd.testing.assert_series_equal(differs, inside, check_names=False)


def test_curves_of_all_parameterizations_lie_on_one_axis(run: Run) -> None:
    """Where all are well conditioned (sigma 0.1 to 2) eps, v and flow agree within a tenth, at shared levels."""
    table = run.table("levels").pivot_table(index="level", columns="model", values=["sigma", "error"])
    sigma = table["sigma"]["eps"]
    np.testing.assert_allclose(table["sigma"].to_numpy(), np.tile(sigma, (5, 1)).T, rtol=1e-12)
    middle = table["error"][(sigma > 0.1) & (sigma < 2)]
    for name in ("v", "flow"):
        assert np.abs(np.log(middle[name] / middle["eps"])).max() < 0.1


def test_a_regression_fails_the_gate_and_its_band_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = folder / "verdict.json"
    assert gate(folder, "latest:regressed", "latest:eps", "-o", str(written)) == 1
    verdict = json.loads(written.read_text())["verdict"]
    assert verdict["outcome"] == "fail"
    (band,) = json.loads(written.read_text())["comparisons"][0]["bands"]
    assert 0.31 < band["sigma_low"] <= band["sigma_high"] < 1.18
    assert f"sigma {band['sigma_low']:.2f}" in verdict["checks"][0]["evidence"]


def test_the_parent_against_itself_passes_with_ratios_of_exactly_one(folder: Path, run: Run) -> None:
    assert gate(folder, "latest:again", "latest:eps") == 0
    assert (compare_levels(run.table("evaluations"), "eps", "again")["ratio"] == 1).all()


def test_too_few_images_are_inconclusive_and_other_data_is_incomparable(folder: Path) -> None:
    suite, runs = str(folder / "suite.toml"), str(folder / "few")
    assert (
        invoke("run", suite, "--out", runs, "--model", "eps", "--model", "v", "--limit", "4", "--display", "none") == 0
    )
    assert (
        invoke("gate", "latest:v", "--baseline", "latest:eps", "--runs", runs, "--policy", str(folder / "gate.toml"))
        == 4
    )
    few = Store(runs).find("latest").folder
    assert gate(folder, f"{few}:v", "latest:v") == 5


def test_compare_writes_the_same_numbers_in_every_format(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [folder / f"comparison{suffix}" for suffix in (".html", ".md", ".json")]
    flags = [flag for path in outputs for flag in ("-o", str(path))]
    assert invoke("compare", "latest:eps", "latest:regressed", "--runs", str(folder / "runs"), *flags) == 0
    sentence = next(line for line in capsys.readouterr().out.splitlines() if "regressed: denoising error" in line)
    percent = sentence.split("error ")[1].split(" ")[0]
    page, comment, machine = (path.read_text() for path in outputs)
    assert percent in page
    assert percent in comment
    assert percent in machine


def test_a_model_of_no_such_name_is_a_usage_error(folder: Path) -> None:
    assert gate(folder, "latest:nobody", "latest:eps") == 2
    assert gate(folder, "latest", "latest") == 2
    assert invoke("report", "latest", "--runs", str(folder / "runs"), "-o", str(folder / "report.pdf")) == 2


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu_within_rounding(folder: Path) -> None:
    """The same noise and float32 networks on other kernels: errors agree to 1e-4, far above rounding."""
    errors = []
    for device in ("cpu", "cuda"):
        runs = str(folder / device)
        few = ["--model", "eps", "--limit", "32", "--display", "none"]
        assert invoke("run", str(folder / "suite.toml"), "--out", runs, "--device", device, *few) == 0
        errors.append(Store(runs).find("latest").table("evaluations")["error"].to_numpy())
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-4)


def test_samples_alone_can_be_compared_and_gated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A suite without probes: its metrics are judged, and a rule about noise levels is incomparable, never a pass."""
    text = SUITE.split("[probes")[0].replace("limit = 120", "limit = 80")
    sampling = '[sampling]\nsamplers = ["euler"]\nsteps = [3]\nseeds = "0-79"\nfeatures = "digits"\n'
    (folder / "samples.toml").write_text(text + sampling)
    runs, outputs = str(folder / "samples"), [str(folder / f"samples{suffix}") for suffix in (".html", ".md", ".json")]
    models = ["--model", "eps", "--model", "again"]
    assert invoke("run", str(folder / "samples.toml"), "--out", runs, *models, "--display", "none") == 0
    flags = [flag for path in outputs for flag in ("-o", path)]
    assert invoke("compare", "latest:eps", "latest:again", "--runs", runs, *flags) == 0
    common = ["--baseline", "latest:eps", "--runs", runs, "--policy"]
    assert invoke("gate", "latest:again", *common, str(folder / "gate.toml")) == 5
    (folder / "ceiling.toml").write_text(
        'schema = 1\n[[gate]]\nmetric = "Fréchet distance (digits)"\nrule = "ceiling"\nmax = 1000\n'
    )
    assert invoke("gate", "latest:again", *common, str(folder / "ceiling.toml")) == 0


def test_an_unfinished_run_never_passes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Store(folder / "runs").find("latest").folder
    shutil.copytree(whole, tmp_path / whole.name)
    record = json.loads((whole / "run.json").read_text())
    (tmp_path / whole.name / "run.json").write_text(json.dumps({**record, "status": "failed"}))
    policy = ["--policy", str(folder / "gate.toml"), "--runs", str(tmp_path)]
    assert invoke("gate", "latest:again", "--baseline", "latest:eps", *policy) == 5
    assert "is failed: expected complete runs" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_is_told_before_the_verdict(folder: Path) -> None:
    assert gate(folder, "latest:regressed", "latest:eps", "-o", str(folder / "nowhere" / "x.md")) == 2
    assert gate(folder, "latest:regressed", "latest:eps", "-o", str(folder / "x.pdf")) == 2
