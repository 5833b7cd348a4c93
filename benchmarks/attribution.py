# ruff: noqa: T201
"""What an exact attribution costs: shared prefixes against every coalition by itself, and against bare network calls.

    OMP_NUM_THREADS=1 python benchmarks/attribution.py [--device cuda] [--seeds 16] [--rounds 3]

The bundled digits models, 4 bands, Heun with 12 steps. Rounds are interleaved and their order rotates; CPU seconds on a
CPU, as other work may share the machine. Prints medians and ratios, and writes JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from sigmascope.evals.attribution import Coalition, Game, Player, class_balanced, divide, stitch, uniform_edges
from sigmascope.evals.loading import load
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from torch import Tensor

HERE = Path(__file__).parent
MODELS = HERE.parent / "fixtures" / "models"
COUNT, STEPS, MICRO_BATCH = 4, 12, 16
NOISE = Noise(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    base, candidate = (_player(name, options.device) for name in ("digits-eps", "digits-regressed"))
    schedule, ids = base.denoiser.schedule, torch.arange(options.seeds)
    bands = divide(schedule, GRIDS["log_snr"], STEPS, uniform_edges(schedule.sigma_min, schedule.sigma_max, COUNT))
    coalitions = Game(COUNT, exact=True).coalitions
    found: dict[str, dict[Coalition, Tensor]] = {}
    spent: dict[str, float] = {}

    def shared() -> None:
        result = stitch(base, candidate, bands, coalitions, ids, NOISE)
        found["shared prefixes"], spent["shared prefixes"] = result.features, result.evaluations

    def apart() -> None:
        parts = [stitch(base, candidate, bands, [one], ids, NOISE) for one in coalitions]
        found["apart"] = {one: part.features[one] for one, part in zip(coalitions, parts, strict=True)}
        spent["apart"] = sum(part.evaluations for part in parts)

    def bare() -> None:
        """As many network calls as sharing makes, on one state, at the same levels, without a solver."""
        cond = base.cond(ids.to(options.device))
        state = NOISE.normal(ids.to(options.device), "initial", 0, base.denoiser.event_shape)
        for band, levels in enumerate(bands.sigmas):
            for now, after in pairwise(levels.tolist()):
                for _ in range(2 ** (band + 1) * (2 if after > 0 else 1)):
                    base.denoiser.denoise(now * state, now, cond)

    seconds = _interleaved({"shared prefixes": shared, "apart": apart, "bare calls": bare}, options)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        ratio = value / medians["shared prefixes"]
        print(f"{name:16s} median {value:8.3f} s  minimum {min(seconds[name]):8.3f} s  {ratio:5.2f} x shared prefixes")
    full = spent["apart"] / len(coalitions)
    equal = all(torch.equal(found["shared prefixes"][one], found["apart"][one]) for one in coalitions)
    runs = spent["shared prefixes"] / full
    print(f"{runs:.2f} full runs; samples {'bit-equal' if equal else 'NOT equal'} to those apart")
    content = {
        "device": options.device,
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "seeds": options.seeds,
        "full_runs": runs,
        "bit_equal": equal,
        "seconds": seconds,
    }
    path = HERE / "results" / f"attribution-{options.device.partition(':')[0]}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


def _player(name: str, device: str) -> Player:
    denoiser = load(f"diffusers:{MODELS / name}", device=device, micro_batch=MICRO_BATCH)
    return Player(denoiser, solver("heun"), class_balanced(denoiser))


def _interleaved(work: dict[str, Callable[[], None]], options: argparse.Namespace) -> dict[str, list[float]]:
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for turn in range(options.rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = clock()
            work[name]()
            if options.device != "cpu":
                torch.cuda.synchronize()
            if turn:  # the first round warms up
                seconds[name].append(clock() - start)
    return seconds


if __name__ == "__main__":
    main()
