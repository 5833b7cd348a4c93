"""The commands that need no run: tables, JSON, statistics kept and used, why numbers differ, weights."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from sigmascope import cli, terminal
from sigmascope.cli_metrics import register
from sigmascope.metrics.protocols import PROTOCOLS
from sigmascope.metrics.reference import read_statistics


class Result(NamedTuple):
    code: int
    out: str
    err: str


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(terminal.out, "_width", 200)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("SIGMASCOPE_WEIGHTS", raising=False)
    alone = typer.Typer()
    register(alone)
    if not any(command.name == "metrics" for command in cli.app.registered_commands):
        monkeypatch.setattr(cli, "app", alone)
    for seed, name in enumerate("ab"):
        images = np.random.default_rng(seed).integers(0, 256, (90, 8, 8, 1), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", arr_0=images)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["sigmascope", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return Result(int(stop.value.code or 0), captured.out, captured.err)

    return run


DIGITS = ("--features", "digits", "--metrics", "frechet_distance,kid,prdc")


def test_table_and_json(invoke: Invoke) -> None:
    table = invoke("metrics", "a.npz", "b.npz", *DIGITS)
    assert table.code == 0
    for words in ("Fréchet distance", "Coverage (digits)", "95% interval", "against 90 images"):
        assert words in table.out
    found = json.loads(invoke("metrics", "a.npz", "b.npz", *DIGITS, "--json").out)
    assert len(found["scores"]) == 6
    assert found["scores"][2]["low"] is None  # no interval is null, never NaN
    assert found["choices"]["network"] == "digits"
    assert all(len(score["fingerprint"]) == 12 for score in found["scores"])


def test_statistics_kept_and_used(invoke: Invoke) -> None:
    distance = ("--features", "digits", "-m", "frechet_distance", "--json")
    images = json.loads(invoke("metrics", "b.npz", "a.npz", *distance).out)
    kept = invoke("metrics", "a.npz", "b.npz", *DIGITS, "--save-statistics", "a-stats.npz")
    assert "wrote a-stats.npz" in kept.err
    stored = invoke("metrics", "b.npz", "a-stats.npz", *distance)
    assert json.loads(stored.out)["scores"][0]["value"] == pytest.approx(images["scores"][0]["value"], rel=1e-9)


def test_statistics_alone_with_their_split_and_size(invoke: Invoke, tmp_path: Path) -> None:
    """No reference and no metric: what a data set's statistics are made by, the split from the path or as told."""
    (tmp_path / "digits" / "train").mkdir(parents=True)
    (tmp_path / "a.npz").rename(tmp_path / "digits" / "train" / "a.npz")
    for options, split in (((), "train"), (("--split", "held out"), "held out")):
        made = invoke("metrics", "digits/train/a.npz", "--features", "digits", "--save-statistics", "s.npz", *options)
        assert (made.code, made.out) == (0, "")
        known = read_statistics(tmp_path / "s.npz").provenance
        assert (known.source, known.split, known.size, known.n) == ("digits/train/a.npz", split, "8x8", 90)
        assert "digits classifier" in known.preprocessing
        assert len(known.network) == 12


def test_statistics_nothing_vouches_for_are_told(invoke: Invoke, tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", mu=np.zeros(64), sigma=np.eye(64))
    found = invoke("metrics", "a.npz", "foreign.npz", *DIGITS[:2], "-m", "frechet_distance")
    assert found.code == 0
    assert "nothing in the file says that its statistics are of digits classifier" in found.err
    assert "against stored statistics" in found.out


def test_guided_diffusion_s_batch_gives_both_its_images_and_its_statistics(invoke: Invoke, tmp_path: Path) -> None:
    """Under its protocol the Fréchet distance is to the statistics, neighbours are of the images."""
    with np.load(tmp_path / "b.npz") as file:
        np.savez(tmp_path / "batch.npz", arr_0=file["arr_0"], mu=np.full(64, 9.0), sigma=np.eye(64))
        np.savez(tmp_path / "stats.npz", mu=np.full(64, 9.0), sigma=np.eye(64))

    def values(reference: str, protocol: str, metrics: str) -> list[float]:
        found = invoke("metrics", "a.npz", reference, *DIGITS[:2], "-m", metrics, "--protocol", protocol, "--json")
        return [score["value"] for score in json.loads(found.out)["scores"]]

    both = values("batch.npz", "adm", "frechet_distance,precision_recall")
    assert both[:1] == values("stats.npz", "adm", "frechet_distance")
    told = invoke("metrics", "a.npz", "batch.npz", *DIGITS[:2], "-m", "frechet_distance", "--protocol", "adm").out
    assert "against stored statistics" in told
    assert both[1:] == values("b.npz", "adm", "precision_recall")
    assert values("batch.npz", "sigmascope", "frechet_distance") == values("b.npz", "adm", "frechet_distance")


def test_explain_sets_and_results(invoke: Invoke, tmp_path: Path) -> None:
    swapped = json.loads(invoke("explain", "a.npz", "b.npz", "--features", "digits", "--json").out)
    assert [row["choice"] for row in swapped] == ["baseline", "precision", "N", "order"]
    for name, options in (("one", ()), ("other", ("--protocol", "clean", "--limit", "80"))):
        made = invoke("metrics", "a.npz", "b.npz", *DIGITS, "--output", f"{name}.json", *options)
        assert f"wrote {name}.json" in made.err
    told = invoke("explain", "one.json", "other.json", "--metric", "kid")
    assert told.code == 0
    assert "fingerprints differ: not comparable as they stand" in told.out
    for words in ("N of the reference", "mean of 100 subsets", "100 subsets of 1000 at most", "together", "remainder"):
        assert words in told.out
    rows = {
        row["choice"]: row for row in json.loads(invoke("explain", "one.json", "other.json", "--json").out)["changes"]
    }
    assert rows["remainder"]["difference"] == pytest.approx(
        rows["together"]["difference"] - sum(rows[n]["difference"] for n in ("N", "N of the reference")), abs=1e-9
    )


def test_compiled_is_another_protocol(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """That torch.compile gets the network, with no compiler needed: the number, its words and its result say so."""
    given: list[str] = []

    def compile_(module: torch.nn.Module) -> torch.nn.Module:
        given.append(type(module).__name__)
        return module

    monkeypatch.setattr(torch, "compile", compile_)
    invoke("metrics", "a.npz", "b.npz", *DIGITS[:2], "-m", "frechet_distance", "-o", "eager.json")
    assert given == []
    made = invoke("metrics", "a.npz", "b.npz", *DIGITS[:2], "-m", "frechet_distance", "--compiled", "-o", "fast.json")
    assert (made.code, given) == (0, ["DigitsClassifier"])
    eager, fast = (json.loads(Path(name).read_text()) for name in ("eager.json", "fast.json"))
    assert (eager["choices"]["compiled"], fast["choices"]["compiled"]) == (False, True)
    assert fast["scores"][0]["fingerprint"] != eager["scores"][0]["fingerprint"]
    assert "float32, compiled; " in fast["scores"][0]["protocol"]
    assert "features 0 from float32's" in fast["scores"][0]["protocol"]
    assert replace(PROTOCOLS["clean"], compiled=True).fingerprint != PROTOCOLS["clean"].fingerprint
    told = json.loads(invoke("explain", "eager.json", "fast.json", "--json").out)
    assert ["compiled", "False", "True"] in [[row["choice"], row["before"], row["after"]] for row in told["changes"]]


def test_results_of_different_metrics_exit_with_5(invoke: Invoke) -> None:
    for name, metric in (("one", "kid"), ("other", "vendi")):
        invoke("metrics", "a.npz", "b.npz", *DIGITS[:2], "-m", metric, "-o", f"{name}.json")
    told = invoke("explain", "one.json", "other.json")
    assert told.code == 5
    assert "expected a metric of sets of images in both results, got kid and vendi" in told.err


def test_clip_score_by_file_names(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = runpy.run_path(str(Path(__file__).parent / "metrics" / "test_clip_score.py"))
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))
    clip["save_clip"](tmp_path / "clip-vit-large-patch14", 0)
    (tmp_path / "images").mkdir()
    for number, image in enumerate(clip["pictures"]().read()):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "images" / f"{number}.png")
    lines = [json.dumps({"file_name": f"{n}.png", "text": text}) for n, text in enumerate(clip["PROMPTS"])]
    (tmp_path / "p.jsonl").write_text("\n".join(reversed(lines)))
    (tmp_path / "p.txt").write_text("\n".join(clip["PROMPTS"]))
    values = []
    for prompts in ("p.jsonl", "p.txt"):
        found = invoke("metrics", "images", "-m", "clip_score", "--prompts", prompts, "--json")
        assert found.code == 0, found.err
        values.append(json.loads(found.out)["scores"][0]["value"])
    expected = clip["cosines"](tmp_path / "clip-vit-large-patch14", clip["PROMPTS"]).mean()
    assert values == pytest.approx([100 * float(expected)] * 2, abs=1e-4)
    (tmp_path / "p.txt").write_text("one\ntwo")
    short = invoke("metrics", "images", "-m", "clip_score", "--prompts", "p.txt")
    assert (short.code, "a prompt for each of 8 images, got 2" in short.err) == (2, True)


def test_weights_are_listed_and_imported_by_hash(invoke: Invoke, tmp_path: Path) -> None:
    rows = json.loads(invoke("weights", "--json").out)
    assert {row["network"] for row in rows} == {
        "inception", "dinov2", "clip", "clip-l", "clip-l-336", "lpips-alex", "lpips-vgg",
    }  # fmt: skip
    assert {row["state"] for row in rows} == {"missing"}
    (tmp_path / "any.pth").write_bytes(b"not weights")
    refused = invoke("weights", "--import", "any.pth")
    assert refused.code == 2
    assert "expected one of pt_inception" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["metrics", "a.npz", "nowhere"], "expected a folder of images"),
        (["metrics", "a.npz", "b.npz", "-m", "fidd"], "unknown metric 'fidd'"),
        (["metrics", "a.npz", "b.npz", "-m", "fid"], "pt_inception-2015-12-05"),
        (["metrics", "a.npz", "b.npz", "--protocol", "mine"], "unknown protocol 'mine'"),
        (["metrics", "a.npz", "run:x"], "expected run:ID/MODEL/SAMPLER/STEPS/GRID"),
        (["metrics", "a.npz"], "expected a reference for these metrics, got none"),
        (["metrics", "a.npz", "-m", "clip_score"], "expected a prompt for each image"),
        (["metrics", "a.npz", "-m", "clip_score", "--prompts", "a.npz"], "expected prompts in a file .txt"),
        (["metrics", "a.npz", "b.npz", "-m", "lpips"], "alexnet-owt-7be5be79.pth"),
        (["metrics", "a.npz", "b.npz", "-m", "fid", "-o", "no/a.json"], "no/a.json: expected an existing folder"),
        (["metrics", "a.npz", "b.npz", *DIGITS, "--protocol", "torch-fidelity"], "kid: expected at least 1000 images"),
        (["metrics", "a.npz", "b.npz", *DIGITS, "--device", "meteor"], "expected a device that torch can use here"),
        (["metrics", "a.npz", "--save-statistics", "a.txt"], "expected a file .npz or .pkl"),
        (["explain", "a.json", "b.json"], "expected a result of `sigmascope metrics --output`"),
        (["explain", "a.json", "b.npz"], "expected two sets of images or two results"),
        (["explain", "a.npz", "b.npz", "--metric", "psnr"], "unknown metric 'psnr'"),
    ],
)
def test_mistakes_say_what_was_expected(invoke: Invoke, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert "Traceback" not in result.err
