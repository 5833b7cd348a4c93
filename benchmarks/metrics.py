# ruff: noqa: T201
"""Speed, memory and agreement of the metrics beside their peers', in one process, on the same inputs.

    python -m venv bench && bench/bin/pip install torch scipy torchmetrics ... (see docs/metrics.md)
    PYTHONPATH=.types OMP_NUM_THREADS=1 bench/bin/python benchmarks/metrics.py [PART ...] [--device cuda]

Parts from images are in inception.py, those from features here; side_by_side.py says how they are timed. Weights are
random and seeded, which changes no speed. Prints ratios of medians, and writes JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inception import network, share, variants
from side_by_side import Work, clouds, interleaved, print_notes, report, without_torchvision_operators

RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")


def frechet(rounds: int) -> dict[str, Any]:
    """The Fréchet step at d = 2048 from statistics, the reference's factor kept; N = 4,096, a power-law spectrum."""
    import scipy.linalg
    from sigmascope.metrics.frechet import Gaussian, frechet_distance

    rng = np.random.default_rng(0)
    scale = np.arange(1, 2049) ** -0.5
    a, b = (Gaussian(torch.from_numpy(rng.standard_normal((4096, 2048)) * scale + 0.1 * i)) for i in range(2))
    frechet_distance(a, b)

    def shift() -> float:
        return float(((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance))

    work: dict[str, Work] = {
        "sigmascope": lambda: frechet_distance(a, b),
        "eigvals (torch-fidelity)": lambda: (
            shift() - 2 * float(np.sqrt(np.linalg.eigvals(a.covariance @ b.covariance).astype(complex)).real.sum())
        ),
        "eigvals (torchmetrics)": lambda: (
            shift() - 2 * float(torch.linalg.eigvals(torch.from_numpy(a.covariance @ b.covariance)).sqrt().real.sum())
        ),
        "sqrtm (pytorch-fid, clean-fid)": lambda: (
            shift() - 2 * float(np.trace(scipy.linalg.sqrtm(a.covariance @ b.covariance)).real)
        ),
    }
    seconds, results = interleaved(work, rounds, CPU)
    notes = {f"{name}, relative": abs(value / results["sigmascope"] - 1) for name, value in results.items()}
    few = torch.from_numpy(rng.standard_normal((512, 2048)) * scale)
    reference = Gaussian(torch.from_numpy(rng.standard_normal((512, 2048)) * scale))
    small, _ = interleaved({"N = 512": lambda: frechet_distance(few, reference)}, max(3, rounds), CPU)
    notes["N = 512, features to distance, seconds"] = statistics.median(small["N = 512"])
    sqrtm = statistics.median(seconds["sqrtm (pytorch-fid, clean-fid)"])
    notes["sqrtm over that"] = sqrtm / statistics.median(small["N = 512"])
    return report("Fréchet step, d = 2048", "sigmascope", seconds, notes)


def kid(n: int, rounds: int) -> dict[str, Any]:
    from sigmascope.metrics.kernel import kernel_distance_influence, kernel_distance_subsets
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, r = clouds(n)

    def theirs() -> float:
        return float(kid_features_to_metric(x, r, verbose=False)["kernel_inception_distance_mean"])

    work: dict[str, Work] = {
        "sigmascope": lambda: kernel_distance_subsets(x, r).mean,
        "sigmascope, all samples + interval": lambda: kernel_distance_influence(x, r).value,
        "torch-fidelity": theirs,
    }
    seconds, results = interleaved(work, rounds, CPU)
    exact = kernel_distance_subsets(x.double(), r.double()).mean
    notes = {
        f"{name}, relative to float64": abs(results[name] / exact - 1) for name in ("sigmascope", "torch-fidelity")
    }
    return report(f"KID, 100 subsets of 1,000, N = {n}, d = 2048", "sigmascope", seconds, notes)


def neighbours(n: int, rounds: int) -> dict[str, Any]:
    from prdc import compute_prdc
    from sigmascope.metrics.manifold import prdc

    x, r = clouds(n)
    work: dict[str, Work] = {
        "sigmascope": lambda: prdc(x, r)._asdict(),
        "prdc": lambda: compute_prdc(r.numpy(), x.numpy(), 5),
    }
    seconds, results = interleaved(work, rounds, CPU)
    ours, theirs = results["sigmascope"], results["prdc"]
    notes = {"difference": {name: abs(ours[name] - float(theirs[name])) for name in ours}}
    return report(f"PRDC, N = {n}, d = 2048", "sigmascope", seconds, notes)


def memory(n: int) -> dict[str, Any]:
    """Peak resident memory of a process that holds two float32 tables (n, 2048) and takes prdc of them."""
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        notes = alone.apply(_prdc_alone, (n,))
    print(f"\nPRDC alone in a process, N = {n}, d = 2048")
    print_notes(notes)
    return {"title": f"PRDC alone in a process, N = {n}, d = 2048", "notes": notes}


def _prdc_alone(n: int) -> dict[str, Any]:
    schemas = without_torchvision_operators()
    from sigmascope.metrics.manifold import prdc

    x, r = clouds(n)
    before, start, seconds = _peak_gigabytes(), time.perf_counter(), time.process_time()
    values = prdc(x, r)._asdict()
    del schemas
    return {
        "tables, GB": 2 * x.nbytes / 1e9,
        "peak with the tables and all libraries, before, GB": before,
        "peak, GB": _peak_gigabytes(),
        "CPU seconds": time.process_time() - seconds,
        "wall seconds": time.perf_counter() - start,
        "values": values,
    }


def _peak_gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return {"device": f"{device} {name}", "threads": torch.get_num_threads(), "versions": versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="network share variants frechet kid prdc memory; default: all"
    )
    parser.add_argument("--device", default="cpu", help="of the parts from images; the others run on the CPU")
    parser.add_argument("--images", type=int, default=64, help="a set")
    parser.add_argument("--n", type=int, default=0, help="samples of the kernel and neighbour metrics")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    device, n, rounds = torch.device(chosen.device), chosen.n, chosen.rounds
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "network": lambda: network(device, chosen.images, rounds),
        "share": lambda: share(device, chosen.images, rounds),
        "variants": lambda: variants(device, chosen.images, rounds),
        "frechet": lambda: frechet(rounds),
        "kid": lambda: kid(n or 2_000, rounds),
        "prdc": lambda: neighbours(n or 10_000, rounds),
        "memory": lambda: memory(n or 50_000),
    }
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"expected parts among {', '.join(parts)}, got {', '.join(sorted(unknown))}")
    schemas = without_torchvision_operators()
    print(machine(device))
    target = RESULTS / f"metrics-{device.type}.json"
    for part in chosen.parts or parts:
        found = {**parts[part](), **machine(device)}
        kept = json.loads(target.read_text()) if target.exists() else {}
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps({**kept, part: found}, indent=1) + "\n")
    del schemas


if __name__ == "__main__":
    main()
