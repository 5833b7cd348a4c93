# ruff: noqa: T201
"""How everything here is timed: contestants take turns on the same inputs in one process, agreement beside the ratio.

Rounds are interleaved and their order rotates, as the machine may be shared; CPU seconds on a CPU, which other work
disturbs less than wall time, and wall time on a GPU. Ratios are of medians; minima stand beside them.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

Work = Callable[[], Any]
Seconds = dict[str, list[float]]


def interleaved(work: dict[str, Work], rounds: int, device: torch.device) -> tuple[Seconds, dict[str, Any]]:
    """Seconds of every piece of work in every round, and what each last gave."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: Seconds = {name: [] for name in work}
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


def report(title: str, ours: str, seconds: Seconds, notes: dict[str, Any]) -> dict[str, Any]:
    """Prints the table and returns it as JSON holds it."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: value / medians[ours] for name, value in medians.items()}
    print(f"\n{title}")
    for name, value in medians.items():
        print(f"  {name:36s} median {value:8.3f} s  minimum {min(seconds[name]):8.3f} s  {ratios[name]:6.2f} x ours")
    print_notes(notes)
    minima = {name: min(values) for name, values in seconds.items()}
    rounds = len(next(iter(seconds.values())))
    return {
        "title": title,
        "rounds": rounds,
        "median": medians,
        "minimum": minima,
        "times_ours": ratios,
        "notes": notes,
    }


def print_notes(notes: dict[str, Any]) -> None:
    for name, note in notes.items():
        print(f"  {name}: {note}")


def without_torchvision_operators() -> torch.library.Library:
    """torchvision's own operators need its CUDA build; against a CPU torch its import needs their names alone. Keep
    what this returns: the names live as long."""
    schemas = torch.library.Library("torchvision", "DEF")
    with contextlib.suppress(RuntimeError):
        for name in ("nms", "qnms"):
            schemas.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return schemas


def clouds(n: int, dimension: int = 2048) -> tuple[torch.Tensor, torch.Tensor]:
    """Two tables (n, dimension) in float32: rectified mixtures of 64 directions and noise, which have neighbours at
    many distances, as features do. Made in blocks: nothing else of their size is ever in memory."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(64, dimension, generator=generator) / 8

    def one(shift: float) -> torch.Tensor:
        table = torch.empty(n, dimension)
        for rows in table.split(1000):
            inside = torch.randn(len(rows), 64, generator=generator) @ mixing
            rows.copy_((inside + 0.3 * torch.randn(rows.shape, generator=generator) + shift).relu())
        return table

    return one(0.02), one(0.0)
