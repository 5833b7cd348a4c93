# ruff: noqa: T201
"""What the probes cost beyond the network's evaluations, on the digits U-Nets, and what memory a pass takes.

    OMP_NUM_THREADS=1 python benchmarks/probes.py [--rounds 5] [--images 128] [--device cpu] [--each]

*Time*: one pass over levels, images and draws against as many bare calls of the same network, interleaved in one
process (side_by_side.py): without probes, with the default set, and with --each the probes one by one. Bare calls get
full micro-batches of noisy images, times and labels, ready made. *Alone*: the same pass with a network that gives back
a stored answer, over the time of the bare calls; there is no network in it, and so none of its noise. CPU seconds on a
CPU.
*Memory*: the peak resident set above what was there before the pass, at two numbers of images, each in a process of its
own, with a formula in the network's place; what grows is the table of rows. Linux only.
Prints, and writes JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from side_by_side import interleaved
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.loading import load
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import SETS, Probe, Subject, measure, probe
from sigmascope.fixtures import digits
from torch import Tensor

HERE = Path(__file__).parent
MODELS = ("digits-eps", "digits-v", "digits-flow")
LEVELS, DRAWS, MICRO_BATCH = 24, 1, 64


class Pass:
    """One model's pass, and its bare calls."""

    def __init__(self, model: str, images: int, device: torch.device, train: DataSet) -> None:
        self.denoiser = load(f"diffusers:{HERE.parent / 'fixtures' / 'models' / model}", device=device)
        self.count, self.device = LEVELS * DRAWS * images, device
        pixels, labels = digits.heldout()
        self.data, self.train = DataSet(pixels[:images], labels[:images], "digits"), train
        sigmas = log_snr_levels(0.02, 40.0, LEVELS)
        self.subject = Subject(self.denoiser, self.data, sigmas, Noise(0), train)
        stored = torch.zeros(MICRO_BATCH, 1, 8, 8, device=device)
        empty = wrap(
            lambda x, t, class_labels: stored, self.denoiser.schedule, self.denoiser.parameterization.name, (1, 8, 8),
            micro_batch=MICRO_BATCH, device=device, traits=self.denoiser.traits, classes=10,
        )  # fmt: skip
        self.empty = Subject(empty, self.data, sigmas, Noise(0), train)
        self.x = Noise(0).normal(torch.arange(MICRO_BATCH), "bare", 0, (1, 8, 8)).to(device)
        self.times = self.denoiser.time(self.denoiser.level(sigmas)).to(device)
        self.cond = {"class_labels": (torch.arange(MICRO_BATCH) % 10).to(device)}

    def bare(self) -> None:
        with torch.no_grad():
            for call in range(-(-self.count // MICRO_BATCH)):
                self.denoiser.network(self.x, self.times[call % LEVELS].expand(MICRO_BATCH), self.cond)

    def ours(self, subject: Subject, probes: list[Probe]) -> int:
        return len(measure(subject, probes, DRAWS))


def overhead(model: str, images: int, rounds: int, device: torch.device, each: bool) -> dict[str, Any]:
    train = DataSet(*digits.train(), "digits")
    one = Pass(model, images, device, train)
    sets: dict[str, tuple[str, ...]] = {"no probes": (), "default": SETS["default"]}
    if each:
        sets |= {name: (name,) for name in (*SETS["default"], "excess_error")}
    chosen = {name: [probe(text) for text in texts] for name, texts in sets.items()}
    one.bare()
    one.ours(one.empty, chosen["default"])
    work = {"bare": one.bare, **{name: lambda p=p: one.ours(one.subject, p) for name, p in chosen.items()}}
    work |= {f"alone {name}": lambda p=p: one.ours(one.empty, p) for name, p in chosen.items()}
    seconds, _ = interleaved(work, rounds, device)
    bare = seconds["bare"]

    def over_bare(name: str) -> float:
        return statistics.median(ours / theirs for ours, theirs in zip(seconds[name], bare, strict=True))

    return {
        "bare_milliseconds_an_evaluation": 1e3 * statistics.median(bare) / one.count,
        "sets": {
            name: {
                "probes": list(texts),
                "whole_over_bare": over_bare(name),
                "alone_over_bare": over_bare(f"alone {name}"),
            }
            for name, texts in sets.items()
        },
    }


def memory(images: int) -> dict[str, float]:
    """In a process of its own: bytes above the data's, and rows."""
    code = f"import probes; print(*probes.peak({images}))"
    out = subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True, capture_output=True, text=True).stdout
    growth, rows, table = map(float, out.split()[-3:])
    return {"images": images, "rows": rows, "peak_growth_bytes": growth, "table_bytes": table}


def peak(images: int) -> tuple[float, int, float]:
    pixels = Noise(1).normal(torch.arange(images), "pixels", 0, (1, 8, 8)).clamp(-1, 1)
    denoiser = wrap(_shrink, "edm", "x0", (1, 8, 8), micro_batch=MICRO_BATCH)
    probes = [probe(name) for name in SETS["default"]]
    few = Subject(denoiser, DataSet(pixels[:64], None, "noise"), log_snr_levels(0.02, 40.0, LEVELS), Noise(0))
    measure(few, probes, DRAWS)  # what is allocated once
    subject = Subject(denoiser, DataSet(pixels, None, "noise"), few.sigmas, Noise(0))
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _status("VmRSS")
    table = measure(subject, probes, DRAWS)
    return _status("VmHWM") - before, len(table), float(table.memory_usage(index=False).sum())


def _status(name: str) -> float:
    """Bytes, by the name of a line of Linux's /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(float(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _shrink(x: Tensor, t: Tensor) -> Tensor:
    return x / (1 + t.reshape(-1, 1, 1, 1) ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    found = {model: overhead(model, options.images, options.rounds, device, options.each) for model in options.models}
    for model, row in found.items():
        print(f"{model}: bare {row['bare_milliseconds_an_evaluation']:.3f} ms an evaluation")
        for name, ratios in row["sets"].items():
            print(f"  {name:16s} whole {ratios['whole_over_bare']:6.3f}   alone {ratios['alone_over_bare']:7.2%}")
    sizes = [memory(images) for images in (1000, 12_000)]
    rows = sizes[1]["rows"] - sizes[0]["rows"]
    row_bytes = (sizes[1]["peak_growth_bytes"] - sizes[0]["peak_growth_bytes"]) / rows
    print(f"memory: {row_bytes:.0f} bytes of peak a row, {sizes[1]['table_bytes'] / sizes[1]['rows']:.0f} in the table")
    result = {
        "title": "Probes beyond bare network evaluations, digits U-Nets",
        "levels": LEVELS,
        "images": options.images,
        "rounds": options.rounds,
        "models": found,
        "memory": {"sizes": sizes, "peak_bytes_a_row": row_bytes},
        "device": f"{device.type} {torch.cuda.get_device_name() if device.type == 'cuda' else platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__},
    }
    path = HERE / "results" / f"probes-{device.type}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
