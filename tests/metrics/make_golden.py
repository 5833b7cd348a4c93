"""Makes golden.json and golden.npz: what the peers give on seeded weights, images, logits and features.

Run in an environment of its own, with torch, scipy and, --no-deps, torch-fidelity, pytorch-fid, clean-fid, prdc,
scikit-learn, joblib, cloudpickle, torchmetrics and torchvision:

    PYTHONPATH=.types python tests/metrics/make_golden.py

The tests take the seeded inputs from here, so that they check parity without the peers. Uniform draws only: NumPy keeps
that stream. Weights and images are synthetic. The .npz holds whole feature tables, the .json numbers.
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
TABLES = Path(__file__).with_name("golden.npz")
SEED = 20151205


def uniform(name: str, *shape: int) -> np.ndarray:
    """Uniform on [0, 1), float64; every name has its own stream."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())]).random(shape)


def seeded_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A state dict that keeps activations of order 1: He-uniform weights, batch norms around identity. The last block
    is scaled so that pooled features are below 1, as the published weights', where KID's kernel isn't all cube."""
    return {name: torch.from_numpy(_parameter(name, shape)) for name, shape in shapes.items()}


def _parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    draw = uniform(name, *shape)
    if len(shape) > 1:
        gain = 0.1 if name.startswith("Mixed_7c") else 10 if name.startswith("fc") else 1
        value = gain * (2 * draw - 1) * math.sqrt((6 if len(shape) == 4 else 3) / math.prod(shape[1:]))
    elif name.endswith((".bn.weight", "running_var")):
        value = 0.5 + draw
    else:
        value = 0.2 * (draw - 0.5)
    return value.astype(np.float32)


def seeded_images() -> torch.Tensor:
    """uint8 (2, 3, 40, 56), neither square nor near 299: a vertical and a horizontal ramp under noise."""
    ramp = np.stack([np.linspace(0, 1, 40)[:, None].repeat(56, 1), np.linspace(0, 1, 56)[None].repeat(40, 0)])[:, None]
    return torch.from_numpy((255 * (0.6 * ramp + 0.4 * uniform("images", 2, 3, 40, 56))).astype(np.uint8))


def seeded_sets() -> tuple[torch.Tensor, torch.Tensor]:
    """Generated and real, uint8 (8, 3, 32, 32) each: dark squares of one colour under little noise, and noise over
    faint squares, with one image of the first kind. So far apart that no distance is a difference of nearly equal
    numbers, while some neighbourhoods meet."""
    shares = 0.2 * uniform("squares: share", 2, 8, 1, 1, 1) + np.array([0.0, 0.8]).reshape(2, 1, 1, 1, 1)
    light = np.array([0.4, 1.0]).reshape(2, 1, 1, 1, 1).repeat(8, axis=1)
    shares[1, 0], light[1, 0] = 0.1, 0.4
    squares = np.kron(uniform("squares: colours", 2, 8, 3, 4, 4), np.ones((8, 8)))
    images = (1 - shares) * squares + shares * uniform("squares: noise", 2, 8, 3, 32, 32)
    generated, real = torch.from_numpy((255 * light * images).astype(np.uint8))
    return generated, real


SETS = {"splits": 2, "subsets": 6, "size": 7}
"""What 8 images allow: splits of the inception score, KID's subsets and their size."""


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


def in_their_span(features: list[torch.Tensor]) -> list[torch.Tensor]:
    """Both tables, in float64, in the coordinates of the 16 dimensions that 2 x 8 rows span. No distance changes; but
    the roots of 2,000 eigenvalues that are 0 but for rounding, which add 1e-5 to the peers' own, are gone."""
    basis, _ = torch.linalg.qr(torch.cat(features).double().T)
    return [one.double() @ basis for one in features]


class Given(torch.nn.Module):
    """For torchmetrics, whose metrics run networks: hands features on as they come, in float64."""

    num_features = 16

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.double()


def torchvision_stand_in() -> torch.library.Library:
    """torchvision's own operators need its CUDA build; its import needs their names. They live as long as this."""
    schemas = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return schemas


def main() -> None:
    schemas = torchvision_stand_in()
    import pytorch_fid.fid_score
    import pytorch_fid.inception
    import torch_fidelity
    from cleanfid.fid import frechet_distance, kernel_distance
    from cleanfid.resize import build_resizer
    from prdc import compute_prdc
    from sigmascope.metrics.features.inception import InceptionV3
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    # The peers load strictly: our names and shapes are theirs, which are the published file's.
    shapes = {name: tuple(value.shape) for name, value in InceptionV3().state_dict().items()}
    state = seeded_state(shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "seeded.pth")
        torch.save(state, path)
        fidelity = FeatureExtractorInceptionV3(
            "seeded", ["2048", "logits_unbiased"], feature_extractor_weights_path=path
        )
        torchmetrics_pooled, torchmetrics_logits = (
            NoTrainInceptionV3("seeded", [layer], feature_extractor_weights_path=path)
            for layer in ("2048", "logits_unbiased")
        )
        pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: state
        blocks = pytorch_fid.inception.InceptionV3([3], resize_input=False, normalize_input=False).eval()
        whole = pytorch_fid.inception.InceptionV3([3]).eval()
    torchmetrics_pooled.num_features = 2048

    clean = build_resizer("clean")

    def cleaned(images: torch.Tensor) -> torch.Tensor:
        resized = np.stack([clean(image.permute(1, 2, 0).numpy()) for image in images])
        return torch.from_numpy(resized.transpose(0, 3, 1, 2))

    pooled = {
        "torch-fidelity": lambda images: fidelity(images)[0],
        "pytorch-fid": lambda images: whole(images.float() / 255)[0].flatten(1),
        "clean": lambda images: blocks((cleaned(images) - 128) / 128)[0].flatten(1),
        "torchmetrics": torchmetrics_pooled,
    }
    images, sets = seeded_images(), seeded_sets()
    resized = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    with torch.no_grad():
        tables = {name: features(images) for name, features in pooled.items()}
        tables["logits"] = fidelity(images)[1]
        tables["pytorch-fid, resized by torch-fidelity"] = blocks((resized - 128) / 128)[0].flatten(1)
        found = {name: [features(one) for one in sets] for name, features in pooled.items()}
        logits = fidelity(sets[0])[1]
    tables["resized"] = resized[:, :, ::13, ::13]  # every 13th row and column: 23 x 23
    np.savez_compressed(TABLES, **{name: table.numpy() for name, table in tables.items()})

    def moments(features: list[torch.Tensor]) -> list[np.ndarray]:
        """As pytorch-fid and clean-fid take them."""
        return [m for one in features for m in (one.numpy().mean(axis=0), np.cov(one.numpy(), rowvar=False))]

    spans = {name: in_their_span(two) for name, two in found.items()}

    def torch_fidelity_numbers() -> dict[str, Any]:
        x, r = found["torch-fidelity"]
        statistics = [fid_features_to_statistics(one) for one in spans["torch-fidelity"]]
        subsets = {"kid_subsets": SETS["subsets"], "kid_subset_size": SETS["size"], "verbose": False}
        return {
            "fid": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
            "inception_score": list(isc_features_to_metric(logits, splits=SETS["splits"]).values()),
            "kid": list(kid_features_to_metric(x.double(), r.double(), **subsets).values()),
            "precision_recall": list(prc_features_to_metric(x, r, verbose=False).values())[:2],
            "prdc": {k: float(v) for k, v in compute_prdc(r.numpy(), x.numpy(), 5).items()},
        }

    def torchmetrics_numbers() -> dict[str, Any]:
        fid = FrechetInceptionDistance(Given()).set_dtype(torch.float64)
        kid = KernelInceptionDistance(Given(), subsets=SETS["subsets"], subset_size=SETS["size"])
        score = InceptionScore(torchmetrics_logits, splits=SETS["splits"])
        for real in (False, True):
            fid.update(spans["torchmetrics"][real], real=real)
            kid.update(found["torchmetrics"][real], real=real)
        with torch.no_grad():
            score.update(sets[0])
        torch.manual_seed(0)
        kid_numbers = [float(value) for value in kid.compute()]
        torch.manual_seed(0)
        return {
            "fid": float(fid.compute()),
            "inception_score": [float(value) for value in score.compute()],
            "kid": kid_numbers,
        }

    np.random.seed(0)  # noqa: NPY002
    x, r = (one.double().numpy() for one in found["clean"])
    from_images = {
        "torch-fidelity": torch_fidelity_numbers(),
        "pytorch-fid": {"fid": float(pytorch_fid.fid_score.calculate_frechet_distance(*moments(spans["pytorch-fid"])))},
        "clean": {
            "fid": float(frechet_distance(*moments(spans["clean"]))),
            "kid": kernel_distance(x, r, num_subsets=SETS["subsets"], max_subset_size=SETS["size"]),
        },
        "torchmetrics": torchmetrics_numbers(),
    }

    generated, real = seeded_features()
    statistics = [fid_features_to_statistics(features) for features in (generated, real)]
    prc = prc_features_to_metric(generated, real, verbose=False)
    np.random.seed(0)  # noqa: NPY002
    clean_kid = kernel_distance(generated.numpy(), real.numpy(), num_subsets=20, max_subset_size=60)
    golden = {
        "versions": {"torch-fidelity": torch_fidelity.__version__, "pytorch-fid": "0.3.0", "torch": torch.__version__},
        "names": names_hash(fidelity.state_dict()),
        "from_images": from_images,
        "inception_score": list(isc_features_to_metric(seeded_logits()).values()),
        "kid_torch_fidelity": list(
            kid_features_to_metric(generated, real, kid_subsets=20, kid_subset_size=60, verbose=False).values()
        ),
        "kid_clean": float(clean_kid),
        "precision_recall_torch_fidelity": list(prc.values())[:2],
        "prdc": {k: float(v) for k, v in compute_prdc(real.numpy(), generated.numpy(), 5).items()},
        "frechet_torch_fidelity": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        "frechet_pytorch_fid": float(pytorch_fid.fid_score.calculate_frechet_distance(*moments([generated, real]))),
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    del schemas


if __name__ == "__main__":
    main()
