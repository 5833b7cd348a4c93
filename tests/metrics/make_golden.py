"""Makes golden.json: what the peers give on seeded weights, images, logits and features.

Run in an environment of its own, with torch, scipy and, --no-deps, torch-fidelity, pytorch-fid, clean-fid, prdc,
scikit-learn, joblib, cloudpickle and torchvision:

    PYTHONPATH=.types python tests/metrics/make_golden.py

The tests take the seeded inputs from here, so that they check parity without the peers. Uniform draws only: NumPy keeps
that stream. Weights and images are synthetic; the file holds a few numbers per quantity.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).with_name("golden.json")
SEED = 20151205


def uniform(name: str, *shape: int) -> np.ndarray:
    """Uniform on [0, 1), float64; every name has its own stream."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())]).random(shape)


def seeded_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A state dict that keeps activations of order 1: He-uniform weights, batch norms around identity."""
    return {name: torch.from_numpy(_parameter(name, shape)) for name, shape in shapes.items()}


def _parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    draw = uniform(name, *shape)
    if len(shape) > 1:
        value = (2 * draw - 1) * math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))
    elif name.endswith((".bn.weight", "running_var")):
        value = 0.5 + draw
    else:
        value = 0.2 * (draw - 0.5)
    return value.astype(np.float32)


def seeded_images() -> torch.Tensor:
    """uint8 (2, 3, 40, 56), neither square nor near 299: a vertical and a horizontal ramp under noise."""
    ramp = np.stack([np.linspace(0, 1, 40)[:, None].repeat(56, 1), np.linspace(0, 1, 56)[None].repeat(40, 0)])[:, None]
    return torch.from_numpy((255 * (0.6 * ramp + 0.4 * uniform("images", 2, 3, 40, 56))).astype(np.uint8))


def seeded_logits() -> torch.Tensor:
    """(137, 20): a number of rows that 10 splits don't divide."""
    return torch.from_numpy(8 * uniform("logits", 137, 20))


def seeded_features() -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated, away from 0, 24 dimensions: 150 generated rows and 210 of the reference."""
    mixing = uniform("mixing", 24, 24)
    generated, real = (uniform(name, n, 24) @ mixing + 1 for name, n in (("generated", 150), ("real", 210)))
    return torch.from_numpy(generated), torch.from_numpy(real)


def names_hash(state: dict[str, torch.Tensor]) -> str:
    """Of every name and shape."""
    listed = [f"{name} {tuple(value.shape)}" for name, value in sorted(state.items())]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def summary(features: torch.Tensor) -> dict[str, Any]:
    """Some entries of a (2, d) table, and its norm."""
    table = features.double()
    return {
        "shape": list(table.shape),
        "entries": table[:, :: table.shape[1] // 6].tolist(),
        "norm": float(table.norm()),
    }


def main() -> None:
    schemas = torch.library.Library("torchvision", "DEF")  # torchvision's own operators need its CUDA build
    for name in ("nms", "qnms"):
        schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import pytorch_fid.fid_score
    import pytorch_fid.inception
    import torch_fidelity
    from cleanfid.fid import kernel_distance
    from cleanfid.resize import build_resizer
    from prdc import compute_prdc
    from sigmascope.metrics.features.inception import InceptionV3
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    # Both peers load strictly: our names and shapes are theirs, which are the published file's.
    shapes = {name: tuple(value.shape) for name, value in InceptionV3().state_dict().items()}
    state = seeded_state(shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.pth"
        torch.save(state, path)
        fidelity = FeatureExtractorInceptionV3(
            "seeded", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        )
        pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state
        blocks = pytorch_fid.inception.InceptionV3([3], resize_input=False, normalize_input=False).eval()
        whole = pytorch_fid.inception.InceptionV3([3]).eval()

    images = seeded_images()
    resized = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    clean = build_resizer("clean")
    cleaned = np.stack([clean(image.permute(1, 2, 0).numpy()) for image in images]).transpose(0, 3, 1, 2)
    antialiased = torch.nn.functional.interpolate(images.float(), (299, 299), mode="bilinear", antialias=True)
    with torch.no_grad():
        pooled, logits = fidelity(images)
        (other,) = blocks((resized - 128) / 128)
        (pytorch_fid_own,) = whole(images.float() / 255)
        (clean_pooled,) = blocks((torch.from_numpy(cleaned) - 128) / 128)
        (antialiased_pooled,) = blocks((antialiased - 128) / 128)
    generated, real = seeded_features()
    statistics = [fid_features_to_statistics(features) for features in (generated, real)]
    moments = [value for one in statistics for value in (one["mu"], one["sigma"])]
    score = isc_features_to_metric(seeded_logits())
    kid = kid_features_to_metric(generated, real, kid_subsets=20, kid_subset_size=60, verbose=False)
    prc = prc_features_to_metric(generated, real, verbose=False)
    np.random.seed(0)  # noqa: NPY002
    clean_kid = kernel_distance(generated.numpy(), real.numpy(), num_subsets=20, max_subset_size=60)

    golden = {
        "versions": {"torch-fidelity": torch_fidelity.__version__, "pytorch-fid": "0.3.0", "torch": torch.__version__},
        "names": names_hash(fidelity.state_dict()),
        "resized": summary(resized.flatten(1)),
        "pooled": summary(pooled),
        "pooled_pytorch_fid": summary(other.flatten(1)),
        "pooled_protocols": {
            "pytorch-fid": summary(pytorch_fid_own.flatten(1)),
            "clean": summary(clean_pooled.flatten(1)),
            "torchmetrics": summary(antialiased_pooled.flatten(1)),
        },
        "logits": summary(logits),
        "inception_score": list(score.values()),
        "kid_torch_fidelity": list(kid.values()),
        "kid_clean": float(clean_kid),
        "precision_recall_torch_fidelity": list(prc.values())[:2],
        "prdc": {k: float(v) for k, v in compute_prdc(real.numpy(), generated.numpy(), 5).items()},
        "frechet_torch_fidelity": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        "frechet_pytorch_fid": float(pytorch_fid.fid_score.calculate_frechet_distance(*moments)),
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
