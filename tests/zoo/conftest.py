"""The zoo's environment: peers from the registry, tiny, with seeded weights.

torchvision's wheel needs CUDA libraries; against a CPU torch its import dies on two operators that nothing here calls.
NVIDIA Modulus imports a client of cloud stores beside its networks and marks ranges for a profiler of GPUs: an empty
module and nothing stand in for them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch

_PEERS = ("denoising_diffusion_pytorch", "azula", "deepinv", "k_diffusion", "flow_matching", "torchcfm", "modulus")
_READY = all(importlib.util.find_spec(name) for name in _PEERS)
collect_ignore = [] if _READY else [path.name for path in Path(__file__).parent.glob("test_*.py")]

if _READY:
    sys.modules.setdefault("s3fs", ModuleType("s3fs"))
    if not torch.cuda.is_available():
        torch.cuda.nvtx.range_push = torch.cuda.nvtx.range_pop = lambda *_: 0
    _SCHEMAS = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):
            _SCHEMAS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("k_diffusion.sampling")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Foreign code warns of its own accord."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
