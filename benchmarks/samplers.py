# ruff: noqa: T201
"""What our sampling loop costs beyond the network's evaluations, beside diffusers' pipeline, on the digits U-Net.

    OMP_NUM_THREADS=1 python benchmarks/samplers.py [--rounds 7] [--batch 64] [--device cpu]

Two measures. *Whole*: 50 steps against 50 bare calls of the same network, interleaved in one process, order rotating,
medians of paired ratios. *Loop alone*: the same 50 steps with a network that gives back a stored answer, over the time
of the bare calls; it has no network in it, and so none of its noise. CPU seconds on a CPU, as other work may share the
machine. Prints both and writes JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.pipelines.ddim import pipeline_ddim
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.loading import load
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, sample, solver
from torch import Tensor

HERE = Path(__file__).parent
MODEL = HERE.parent / "fixtures" / "models" / "digits-eps"
STEPS = 50
OURS = ("ddim", "dpmpp_2m", "ddpm", "diffusers:DDIMScheduler(clip_sample=False)")
Work = Callable[[], Any]


def interleaved(work: dict[str, Work], rounds: int, device: torch.device) -> dict[str, list[float]]:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = clock()
            work[name]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(clock() - start)
    return seconds


class Digits:
    """The U-Net, bare, behind our loop, and behind diffusers' pipeline; `stored` replaces it by a stored answer."""

    def __init__(self, batch: int, device: torch.device, stored: bool) -> None:
        self.ids, self.device = torch.arange(batch), device
        self.labels = self.ids % 10
        self.x = Noise(0).normal(self.ids, "initial", 0, (1, 8, 8)).to(device)
        self.denoiser = load(f"diffusers:{MODEL}", micro_batch=batch, device=device)
        folder = MODEL / "unet" if (MODEL / "unet").exists() else MODEL
        self.unet = diffusers.UNet2DModel.from_pretrained(folder).to(device).eval()
        there, forward = self.labels.to(device), self.unet.forward
        answer = diffusers.models.unets.unet_2d.UNet2DOutput(sample=self.x)
        # diffusers' pipeline knows no labels
        self.unet.forward = (lambda x, t: answer) if stored else (lambda x, t: forward(x, t, class_labels=there))
        if stored:
            kept = self.denoiser
            self.denoiser = wrap(
                lambda x, t, class_labels: self.x, kept.schedule, "eps", (1, 8, 8), micro_batch=batch, device=device,
                traits=kept.traits,
            )  # fmt: skip
        scheduler = diffusers.DDIMScheduler.from_config(dict(kept_scheduler(self.denoiser)), clip_sample=False)
        self.pipeline = diffusers.DDIMPipeline(self.unet, scheduler)
        self.pipeline.set_progress_bar_config(disable=True)

    def bare(self) -> None:
        times = torch.linspace(999, 0, STEPS, device=self.device).long()
        with torch.no_grad():
            for t in times:
                self.unet(self.x, t)

    def ours(self, name: str) -> Tensor:
        return sample(
            self.denoiser, solver(name), self.ids, Noise(0), steps=STEPS, grid=GRIDS["linear"],
            cond={"class_labels": self.labels},
        ).images  # fmt: skip

    def theirs(self, eta: float) -> Tensor:
        images = self.pipeline(batch_size=len(self.ids), num_inference_steps=STEPS, eta=eta, output_type="pt").images
        return images.cpu() * 2 - 1

    def work(self) -> dict[str, Work]:
        work: dict[str, Work] = {f"sigmascope {name}": lambda name=name: self.ours(name) for name in OURS}
        work["diffusers DDIMPipeline"] = lambda: self.theirs(0.0)
        return work

    def difference(self) -> float:
        """Largest difference between the images of the pipeline and of its scheduler behind our loop, clamped alike."""
        drawn = pipeline_ddim.randn_tensor
        pipeline_ddim.randn_tensor = lambda shape, **_: self.x.reshape(shape)
        try:
            theirs = self.theirs(0.0)
        finally:
            pipeline_ddim.randn_tensor = drawn
        return float((self.ours(OURS[-1]).clamp(-1, 1) - theirs).abs().max())


def kept_scheduler(denoiser: Any) -> dict[str, object]:
    return {key: value for key, value in denoiser.traits.scheduler.items() if not key.startswith("_")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    whole, alone = (Digits(options.batch, device, stored) for stored in (False, True))

    whole.bare()  # warm up
    alone.ours("ddpm")
    seconds = interleaved({"bare calls": whole.bare, **whole.work()}, options.rounds, device)
    bare = seconds.pop("bare calls")
    loop = interleaved(alone.work(), options.rounds, device)
    rows = {
        name: {
            "whole over bare calls": statistics.median(s / b for s, b in zip(values, bare, strict=True)),
            "loop alone over bare calls": statistics.median(loop[name]) / statistics.median(bare),
            "loop alone, milliseconds a step": 1e3 * statistics.median(loop[name]) / STEPS,
        }
        for name, values in seconds.items()
    }
    difference = whole.difference()
    print(f"{STEPS} steps, batch {options.batch}, bare call {1e3 * statistics.median(bare) / STEPS:.2f} ms")
    for name, row in rows.items():
        print(
            f"  {name:56s} whole {row['whole over bare calls']:6.3f}   loop alone "
            f"{row['loop alone over bare calls']:7.2%}   {row['loop alone, milliseconds a step']:6.2f} ms a step"
        )
    print(f"  largest difference to the pipeline's images from the same noise: {difference:.1e}")
    result = {
        "title": f"Sampling loop, {STEPS} steps, digits U-Net",
        "batch": options.batch,
        "rounds": options.rounds,
        "bare_milliseconds_a_call": 1e3 * statistics.median(bare) / STEPS,
        "rows": rows,
        "difference_to_pipeline": difference,
        "device": f"{device.type} {torch.cuda.get_device_name() if device.type == 'cuda' else platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
    }
    path = HERE / "results" / f"samplers-{device.type}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
