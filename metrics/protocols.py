"""Protocols: every choice that moves a number, under the name of the tool that made it, with a fingerprint to compare.

PROTOCOLS[name] -> Protocol -> evaluate.py, which stores its words and fingerprint with every number. A protocol is a
value: `replace(protocol, resize="clean")` is another one, with another fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..registry import Registry

ScoreConvention = Literal["torch-fidelity", "guided-diffusion", "torchmetrics", "plain", "corrected"]


@dataclass(frozen=True)
class Subsets:
    """Pairs of random subsets without replacement: `count` of `size` samples, whose mean KID by convention is.

    library: whose generator draws them, NumPy's RandomState or torch's, from `seed`. first: the set drawn from first.
    fit: sets smaller than `size` make smaller subsets instead of an error.
    """

    count: int = 100
    size: int = 1000
    seed: int = 2020
    library: Literal["numpy", "torch"] = "numpy"
    first: Literal["generated", "real"] = "generated"
    fit: bool = False

    def __str__(self) -> str:
        drawn = f"{self.library}'s seed {self.seed}, {self.first} first"
        return f"{self.count} subsets of {self.size}{' at most' if self.fit else ''}, {drawn}"


TORCH_FIDELITY = Subsets()


@dataclass(frozen=True)
class Protocol:
    """How features and numbers are made. `note`: where the tool of that name can't be followed to the digit.

    network, resize, normalise, precision, compiled: the features'. inception_score with `splits`, kid (None: all
    samples, with an interval): the numbers'. Images keep the order they come in; what is shuffled says so by its own
    convention.
    """

    name: str
    network: str = "inception"
    resize: str = "tf1"
    normalise: str = "tf"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    compiled: bool = False
    inception_score: ScoreConvention = "plain"
    splits: int = 10
    kid: Subsets | None = None
    note: str = ""

    @property
    def choices(self) -> dict[str, Any]:
        """What the fingerprint covers: everything but name and note."""
        return {key: value for key, value in asdict(self).items() if key not in ("name", "note")}

    @property
    def fingerprint(self) -> str:
        return fingerprint(**self.choices)


def fingerprint(**parts: Any) -> str:
    """12 hex digits of the SHA-256 of the named parts, whatever their order. Parts are what JSON holds."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


PROTOCOLS: Registry[Protocol] = Registry("protocol")

for _protocol in (
    Protocol("sigmascope", note="torch-fidelity's features; every number of all samples at once, with its interval"),
    Protocol("torch-fidelity", inception_score="torch-fidelity", kid=TORCH_FIDELITY),
    Protocol("pytorch-fid", resize="half-pixel", normalise="unit"),
    Protocol(
        "clean",
        resize="clean",
        kid=Subsets(seed=0, first="real", fit=True),
        note="clean-fid draws KID's subsets from NumPy's global state; here it is seeded with 0",
    ),
    Protocol(
        "torchmetrics",
        resize="antialias",
        inception_score="torchmetrics",
        kid=Subsets(seed=0, library="torch", first="real"),
        note="torchmetrics shuffles from torch's global state; here it is seeded with 0",
    ),
    Protocol(
        "adm",
        inception_score="guided-diffusion",
        note="guided-diffusion takes neighbours' distances in float16 where they are finite; here float64 decides",
    ),
    Protocol("dgm-eval", network="dinov2", note="FD-infinity's parts are seeded here"),
):
    PROTOCOLS.register(_protocol.name)(_protocol)
