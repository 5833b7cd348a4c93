# ruff: noqa: T201
"""Speed of the metrics beside their peers', in one process, on the same inputs; agreement stands next to every ratio.

    python -m venv bench && bench/bin/pip install torch scipy torchmetrics ... (see docs/metrics.md)
    PYTHONPATH=.types OMP_NUM_THREADS=1 bench/bin/python benchmarks/metrics.py [network|frechet|kid|prdc]

Rounds are interleaved and their order rotates; CPU seconds on a CPU, as other work may share the machine. Weights are
random and seeded: they change no speed. Prints ratios of medians, and writes JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
Work = Callable[[], Any]


def interleaved(
    work: dict[str, Work], rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of every piece of work in every round, and what each last gave."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in work}
    results: dict[str, Any] = {}
    names = list(work)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = clock()
            with contextlib.redirect_stdout(io.StringIO()):
                results[name] = work[name]()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(clock() - start)
    return seconds, results


def report(title: str, ours: str, seconds: dict[str, list[float]], notes: dict[str, Any]) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{title}")
    for name, value in medians.items():
        ratio = value / medians[ours]
        print(f"  {name:34s} median {value:8.3f} s  minimum {min(seconds[name]):8.3f} s  {ratio:6.2f} x ours")
    for name, note in notes.items():
        print(f"  {name}: {note}")
    ratios = {name: value / medians[ours] for name, value in medians.items()}
    return {"title": title, "median": medians, "minimum": {n: min(v) for n, v in seconds.items()},
            "times_ours": ratios, "notes": notes}  # fmt: skip


def peer_network(device: torch.device) -> tuple[Any, dict[str, torch.Tensor]]:
    from sigmascope.metrics.features.inception import InceptionV3
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    seeded = runpy.run_path(str(HERE.parent / "tests" / "metrics" / "make_golden.py"))
    state = seeded["seeded_state"]({name: tuple(v.shape) for name, v in InceptionV3().state_dict().items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.pth"
        torch.save(state, path)
        layers = ["2048", "logits_unbiased"]
        peer = FeatureExtractorInceptionV3("seeded", layers, feature_extractor_weights_path=str(path))
    return peer.to(device), state


def network(device: torch.device, images: int, rounds: int) -> dict[str, Any]:
    """FID, inception score and KID of two sets of 32 x 32 images, from uint8 tensors to numbers."""
    from sigmascope.metrics.features import FeatureNetwork
    from sigmascope.metrics.features.inception import InceptionV3, fold
    from sigmascope.metrics.frechet import frechet_distance
    from sigmascope.metrics.inception_score import inception_score
    from sigmascope.metrics.kernel import Subsets, kernel_distance_subsets
    from sigmascope.metrics.one_pass import FeatureSet, collect
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore

    peer, state = peer_network(device)
    made = InceptionV3()
    made.load_state_dict(state)
    ours = FeatureNetwork(fold(made), "inception", 2048, "seeded", "ab").to(device)
    generator = torch.Generator().manual_seed(0)
    sets = [torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator) for _ in range(2)]
    size = images // 2
    needs = {"inception": frozenset(("moments", "rows", "logits"))}

    def mine() -> tuple[list[float], torch.Tensor]:
        a, b = (_set(collect(s.split(64), {"inception": ours}, needs, device)["inception"]) for s in sets)  # type: ignore[arg-type]
        kid = kernel_distance_subsets(a[1], b[1], Subsets(100, size)).mean
        return [frechet_distance(a[0], b[0]), inception_score(a[2]).mean, kid], a[1]

    def _set(found: FeatureSet) -> tuple[Any, Any, Any]:
        return found.gaussian, found.rows, found.logits

    def fidelity() -> tuple[list[float], torch.Tensor]:
        tables = []
        with torch.no_grad():
            for one in sets:
                parts = [peer(part.to(device)) for part in one.split(64)]
                tables.append([torch.cat([part[i] for part in parts]).cpu() for i in (0, 1)])
        stats = [fid_features_to_statistics(table[0]) for table in tables]
        fid = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
        score = isc_features_to_metric(tables[0][1])["inception_score_mean"]
        kid = kid_features_to_metric(tables[0][0], tables[1][0], kid_subset_size=size, verbose=False)
        return [fid, score, kid["kernel_inception_distance_mean"]], tables[0][0]

    class Layer(torch.nn.Module):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.peer, self.index, self.num_features = peer, index, 2048

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return peer(batch)[self.index]

    def torchmetrics() -> tuple[list[float], None]:
        """FID and inception score alone; each metric runs its own network, as the package does."""
        fid = FrechetInceptionDistance(feature=Layer(0)).to(device)
        score = InceptionScore(feature=Layer(1)).to(device)
        with torch.no_grad():
            for real, one in enumerate(sets):
                for part in one.split(64):
                    fid.update(part.to(device), real=bool(real))
            for part in sets[0].split(64):
                score.update(part.to(device))
        return [float(fid.compute()), float(score.compute()[0])], None

    work = {"sigmascope": mine, "torch-fidelity": fidelity, "torchmetrics (FID + IS)": torchmetrics}
    seconds, results = interleaved(work, rounds, device)
    (numbers, features), (theirs, peer_features) = results["sigmascope"], results["torch-fidelity"]
    notes = {
        "features, relative to their norm": float((features - peer_features).norm() / peer_features.norm()),
        "FID, IS, KID relative to torch-fidelity": [abs(a / b - 1) for a, b in zip(numbers, theirs, strict=True)],
        "images a set": images,
    }
    return report(f"FID + IS + KID, 2 x {images} images of 32 x 32", "sigmascope", seconds, notes)


def frechet(device: torch.device, rounds: int) -> dict[str, Any]:
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
    seconds, results = interleaved(work, rounds, torch.device("cpu"))
    notes = {f"{name}, relative": abs(value / results["sigmascope"] - 1) for name, value in results.items()}
    few = torch.from_numpy(rng.standard_normal((512, 2048)) * scale)
    reference = Gaussian(torch.from_numpy(rng.standard_normal((512, 2048)) * scale))
    small, _ = interleaved({"N = 512": lambda: frechet_distance(few, reference)}, max(3, rounds), torch.device("cpu"))
    notes["N = 512, features to distance, seconds"] = statistics.median(small["N = 512"])
    sqrtm = statistics.median(seconds["sqrtm (pytorch-fid, clean-fid)"])
    notes["sqrtm over that"] = sqrtm / statistics.median(small["N = 512"])
    return report("Fréchet step, d = 2048", "sigmascope", seconds, notes)


def kid(device: torch.device, n: int, rounds: int) -> dict[str, Any]:
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
    seconds, results = interleaved(work, rounds, torch.device("cpu"))
    exact = kernel_distance_subsets(x.double(), r.double()).mean
    notes = {
        f"{name}, relative to float64": abs(results[name] / exact - 1) for name in ("sigmascope", "torch-fidelity")
    }
    return report(f"KID, 100 subsets of 1,000, N = {n}, d = 2048", "sigmascope", seconds, notes)


def neighbours(device: torch.device, n: int, rounds: int) -> dict[str, Any]:
    from prdc import compute_prdc
    from sigmascope.metrics.manifold import prdc

    x, r = clouds(n)
    work: dict[str, Work] = {
        "sigmascope": lambda: prdc(x, r)._asdict(),
        "prdc": lambda: compute_prdc(r.numpy(), x.numpy(), 5),
    }
    seconds, results = interleaved(work, rounds, torch.device("cpu"))
    ours, theirs = results["sigmascope"], results["prdc"]
    notes = {"difference": {name: abs(ours[name] - float(theirs[name])) for name in ours}}
    return report(f"PRDC, N = {n}, d = 2048", "sigmascope", seconds, notes)


def clouds(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rectified mixtures of 64 directions and noise: neighbours at many distances, as features have them."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(64, 2048, generator=generator) / 8

    def one(shift: float) -> torch.Tensor:
        inside = torch.randn(n, 64, generator=generator) @ mixing
        return (inside + 0.3 * torch.randn(n, 2048, generator=generator) + shift).relu()

    return one(0.02), one(0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["all", "network", "frechet", "kid", "prdc"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--n", type=int, default=0, help="samples of the kernel and neighbour metrics")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    schemas = torch.library.Library("torchvision", "DEF")  # its own operators need its CUDA build
    with contextlib.suppress(RuntimeError):
        for name in ("nms", "qnms"):
            schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "network": lambda: network(device, chosen.images, chosen.rounds),
        "frechet": lambda: frechet(device, chosen.rounds),
        "kid": lambda: kid(device, chosen.n or 2000, chosen.rounds),
        "prdc": lambda: neighbours(device, chosen.n or 4000, chosen.rounds),
    }
    versions = {name: sys.modules[name].__version__ for name in ("torch", "numpy")}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{device} ({name}), {torch.get_num_threads()} threads, {versions}")
    target = HERE / "results" / f"metrics-{device.type}.json"
    kept = json.loads(target.read_text()) if target.exists() else {}
    for part, run in parts.items():
        if chosen.what in (part, "all"):
            machine = {"device": f"{device} {name}", "threads": torch.get_num_threads(), "versions": versions}
            kept[part] = {**run(), **machine}
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
