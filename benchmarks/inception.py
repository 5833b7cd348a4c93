# ruff: noqa: T201
"""Parts of metrics.py that begin with images: FID + IS + KID end to end beside the peers, what statistics add to the
network's time, and what other arithmetic than eager float32 gains and costs."""

from __future__ import annotations

import copy
import os
import runpy
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from side_by_side import Work, clouds, interleaved, print_notes, report

HERE = Path(__file__).parent
SEEDED = runpy.run_path(str(HERE.parent / "tests" / "metrics" / "make_golden.py"))
ALL = frozenset(("moments", "rows", "logits"))
CALL = 64  # images a batch, of the peers too


def pictures(images: int, size: int = 32) -> list[torch.Tensor]:
    """Two sets, dark squares under little noise and light ones under much: distances between them are far from 0, so
    that relative differences say something."""
    generator, sets = torch.Generator().manual_seed(0), []
    for least, light in ((0.0, 0.4), (0.8, 1.0)):
        squares = torch.rand(images, 3, size // 8, size // 8, generator=generator)
        squares = squares.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
        share = least + 0.2 * torch.rand(images, 1, 1, 1, generator=generator)
        noise = torch.rand(images, 3, size, size, generator=generator)
        sets.append((255 * light * ((1 - share) * squares + share * noise)).to(torch.uint8))
    return sets


def seeded_state() -> dict[str, torch.Tensor]:
    from sigmascope.metrics.features.inception import InceptionV3

    return SEEDED["seeded_state"]({name: tuple(v.shape) for name, v in InceptionV3().state_dict().items()})


def ours(state: dict[str, torch.Tensor], device: torch.device, options: Any = None, folded: bool = True) -> Any:
    from sigmascope.metrics.features import FeatureNetwork, FeatureOptions
    from sigmascope.metrics.features.inception import InceptionV3, fold

    made = InceptionV3()
    made.load_state_dict(state)
    made = fold(made) if folded else made
    return FeatureNetwork(made, "inception", 2048, "seeded", "ab", options or FeatureOptions()).to(device)


def measured(found: list[Any], size: int) -> dict[str, float]:
    """FID, inception score, KID of two FeatureSets."""
    from sigmascope.metrics.frechet import frechet_distance
    from sigmascope.metrics.inception_score import inception_score
    from sigmascope.metrics.kernel import kernel_distance_subsets
    from sigmascope.metrics.protocols import Subsets

    a, b = found
    return {
        "FID": frechet_distance(a.gaussian, b.gaussian),
        "IS": inception_score(a.logits, min(10, a.n)).mean,
        "KID": kernel_distance_subsets(a.rows, b.rows, Subsets(100, size)).mean,
    }


def relative(found: dict[str, float], expected: dict[str, float]) -> dict[str, float]:
    return {name: abs(found[name] / value - 1) for name, value in expected.items()}


def network(device: torch.device, images: int, rounds: int) -> dict[str, Any]:
    """FID, inception score and KID of two sets of 32 x 32 images, from uint8 tensors to numbers."""
    from sigmascope.metrics.frechet import Gaussian
    from sigmascope.metrics.one_pass import FeatureSet, collect
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore

    state, sets, size = seeded_state(), pictures(images), images // 2
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "seeded.pth")
        torch.save(state, path)
        peer = FeatureExtractorInceptionV3("seeded", ["2048", "logits_unbiased"], feature_extractor_weights_path=path)
        pooled, logits = (
            NoTrainInceptionV3("seeded", [layer], feature_extractor_weights_path=path).to(device)
            for layer in ("2048", "logits_unbiased")
        )
    peer, mine = peer.to(device), ours(state, device)
    pooled.num_features = 2048

    def sigmascope() -> tuple[dict[str, float], torch.Tensor]:
        found = [collect(s.split(CALL), {"it": mine}, {"it": ALL}, device)["it"] for s in sets]
        return measured(found, size), found[0].rows

    def torch_fidelity() -> tuple[dict[str, float], list[list[torch.Tensor]]]:
        tables = []
        with torch.no_grad():
            for one in sets:
                parts = [peer(part.to(device)) for part in one.split(CALL)]
                tables.append([torch.cat([part[i] for part in parts]).cpu() for i in (0, 1)])
        stats = [fid_features_to_statistics(table[0]) for table in tables]
        kid = kid_features_to_metric(tables[0][0], tables[1][0], kid_subset_size=size, verbose=False)
        numbers = {
            "FID": fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"],
            "IS": isc_features_to_metric(tables[0][1])["inception_score_mean"],
            "KID": kid["kernel_inception_distance_mean"],
        }
        return numbers, tables

    def torchmetrics() -> None:
        """Each metric runs a network of its own over its images, as the package has it. Without KID, which would run
        two sets more."""
        fid, score = FrechetInceptionDistance(pooled).to(device), InceptionScore(logits).to(device)
        with torch.no_grad():
            for real, one in enumerate(sets):
                for part in one.split(CALL):
                    fid.update(part.to(device), real=bool(real))
            for part in sets[0].split(CALL):
                score.update(part.to(device))
        fid.compute(), score.compute()

    work: dict[str, Work] = {
        "sigmascope": sigmascope,
        "torch-fidelity": torch_fidelity,
        "torchmetrics (FID + IS)": torchmetrics,
    }
    seconds, results = interleaved(work, rounds, device)
    (numbers, features), (theirs, tables) = results["sigmascope"], results["torch-fidelity"]
    peer_features = tables[0][0]
    difference = features - peer_features
    same = measured(
        [FeatureSet(images, Gaussian(pooled), rows=pooled, logits=logits) for pooled, logits in tables], size
    )
    exact = copy.deepcopy(ours(state, torch.device("cpu"), folded=False)).network.double()
    with torch.inference_mode():
        truth = exact(sets[0][:8]).pooled
    notes = {
        "features, norm of the difference relative to their norm": float(difference.norm() / peer_features.norm()),
        "features, largest difference relative to the largest": float(difference.abs().max() / peer_features.max()),
        "relative to torch-fidelity's features under our metrics": relative(numbers, same),
        "relative to torch-fidelity": relative(numbers, theirs),
        "features of 8 images from float64's, ours": float((features[:8] - truth).norm() / truth.norm()),
        "features of 8 images from float64's, torch-fidelity": float((peer_features[:8] - truth).norm() / truth.norm()),
        "images a set": images,
    }
    return report(f"FID + IS + KID, 2 x {images} images of 32 x 32", "sigmascope", seconds, notes)


def share(device: torch.device, images: int, rounds: int) -> dict[str, Any]:
    """Statistics beyond the network at N = 5,000, timed on synthetic features of that number, over the network's time
    for as many images, extrapolated from its time for a few."""
    from sigmascope.metrics.frechet import Gaussian, frechet_distance
    from sigmascope.metrics.inception_score import inception_score
    from sigmascope.metrics.kernel import kernel_distance_subsets
    from sigmascope.metrics.moments import Moments

    n = 5_000
    x, r = clouds(n)
    logits = torch.rand(n, 1008, generator=torch.Generator().manual_seed(1)) * 8
    reference = Gaussian(r)
    frechet_distance(reference, reference)
    mine, batch = ours(seeded_state(), device), pictures(images)[0].to(device)

    def moments() -> Gaussian:
        whole = Moments.empty(2048)
        for part in x.split(512):
            whole = whole.merge(Moments.of(part))
        return Gaussian(whole)

    gaussian = moments()
    work: dict[str, Work] = {
        "network": lambda: mine(batch),
        "float64 moments": moments,
        "Fréchet step, reference's factor kept": lambda: frechet_distance(gaussian, reference),
        "inception score": lambda: inception_score(logits),
        "KID, 100 subsets of 1,000": lambda: kernel_distance_subsets(x, r),
    }
    seconds, _ = interleaved(work, rounds, device)
    made = report(f"Beyond the network, N = {n:,}; network of {images} images", "network", seconds, {})
    beyond = sum(value for name, value in made["median"].items() if name != "network")
    whole = made["median"]["network"] * n / images
    made["notes"] = {
        "statistics, seconds": beyond,
        f"network, seconds, extrapolated from {images} images to {n:,}": whole,
        "share of the pass": beyond / (beyond + whole),
    }
    print_notes(made["notes"])
    return made


def variants(device: torch.device, images: int, rounds: int) -> dict[str, Any]:
    """Other arithmetic than the folded eager float32 graph: speed, and what it does to features and numbers."""
    from sigmascope.metrics.features import FeatureOptions
    from sigmascope.metrics.one_pass import collect

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "sigmascope-inductor"))
    state, sets, size = seeded_state(), pictures(images), images // 2
    made = {
        "float32": ours(state, device),
        "float32, as published (not folded)": ours(state, device, folded=False),
        "bfloat16": ours(state, device, FeatureOptions(precision="bfloat16")),
        "float32, compiled": ours(state, device, FeatureOptions(compiled=True)),
        "bfloat16, compiled": ours(state, device, FeatureOptions(precision="bfloat16", compiled=True)),
    }
    if device.type == "cuda":
        made["tf32"] = ours(state, device, FeatureOptions(precision="tf32"))
    else:
        print("tf32: skipped, a CUDA device's arithmetic")
    first = {}
    for name, one in list(made.items()):
        start = time.perf_counter()
        try:
            one(sets[0][:4].to(device))
        except RuntimeError as error:  # no compiler, or one that fails: said, and left out
            print(f"{name}: skipped, {str(error).splitlines()[0]}")
            del made[name]
        first[name] = time.perf_counter() - start

    def run(one: Any) -> Work:
        return lambda: [collect(s.split(CALL), {"it": one}, {"it": ALL}, device)["it"] for s in sets]

    seconds, results = interleaved({name: run(one) for name, one in made.items()}, rounds, device)
    exact, notes = results["float32"], {}
    for name, found in results.items():
        notes[name] = {
            "images/s over the float32 graph's": min(seconds["float32"]) / min(seconds[name]),
            "first call, wall seconds": first[name],
            "features, relative to their norm": float((found[0].rows - exact[0].rows).norm() / exact[0].rows.norm()),
            "relative change": relative(measured(found, size), measured(exact, size)),
            "relative change against a float32 reference": relative(
                measured([found[0], exact[1]], size), measured(exact, size)
            ),
        }
    return report(f"Inception's arithmetic, 2 x {images} images of 32 x 32", "float32", seconds, notes)
