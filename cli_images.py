"""What `metrics` and `explain` share: their options, and images or statistics from what a user names.

cli_metrics.py, cli_explain.py -> open_source, open_reference -> metrics/images.py, metrics/reference.py, or what a run
kept of its samples.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from .errors import ConfigError, DataError
from .terminal import err

if TYPE_CHECKING:
    from .metrics.images import Images
    from .metrics.protocols import Protocol
    from .metrics.reference import Statistics

SOURCES = (
    "Folder of images, .zip, .tar or shard-{000..003}.tar (webdataset), .npz, .parquet, a saved Hugging Face data set, "
    "or run:ID/MODEL/SAMPLER/STEPS/GRID."
)
ProtocolName = Annotated[str, typer.Option(help="Whose conventions: `sigmascope list protocols`.")]
Weights = Annotated[Path | None, typer.Option(help="The feature network's weights; else they are searched for.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing weights.")]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1 ...")]
Limit = Annotated[int | None, typer.Option(min=2, help="At most so many images of each set.")]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Folder of runs.", envvar="SIGMASCOPE_RUNS")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable, to stdout.")]


def open_reference(
    source: str | None, runs: Path, limit: int | None, protocol: Protocol
) -> tuple[Images | Statistics | None, Statistics | None]:
    """What to compare with, and where guided-diffusion's protocol finds both in a file, the statistics it takes for
    Fréchet distances: they are of many more images than the file holds."""
    from .metrics.reference import has_statistics, is_statistics, read_statistics

    if source is None:
        return None, None
    path = Path(source)
    if path.is_file() and is_statistics(path):
        return read_statistics(path, protocol.network), None
    images = open_source(source, runs).first(limit)
    return images, read_statistics(path) if protocol.name == "adm" and has_statistics(path) else None


def open_source(source: str, runs: Path) -> Images:
    from .metrics.images import open_images

    return _samples(source, runs) if source.startswith("run:") else open_images(source)


def _samples(source: str, runs: Path) -> Images:
    """What a run kept of a cell's samples: lossless, the first ids, and only where they weren't reduced."""
    import numpy as np
    import torch

    from .evals.store import Store
    from .metrics.images import open_images

    parts = source.removeprefix("run:").split("/")
    if len(parts) not in (5, 6) or not parts[3].isdigit():
        raise ConfigError(f"expected run:ID/MODEL/SAMPLER/STEPS/GRID or .../GRID/GUIDANCE, got {source!r}")
    name, model, sampler, steps, grid, guidance = (*parts, "")[:6]
    run = Store(runs).find(name)
    kept = run.images(model, sampler, int(steps), grid, guidance)
    if not kept:
        raise ConfigError(f"expected kept samples of {source!r}, got none; `thumbnails` of the suite says how many")
    shape = next(one.event_shape for one in run.record.models if one.name == model)
    images = np.stack([kept[key] for key in sorted(kept)])[..., : shape[0]]  # a sheet has three channels, grey or not
    if tuple(shape[-2:]) != images.shape[1:3]:
        made, there = (f"{size[1]}x{size[0]}" for size in (shape[-2:], images.shape[1:3]))
        raise DataError(f"{source}: expected samples as they were made, {made}, got thumbnails of {there}")
    cell = {"model": model, "sampler": sampler, "steps": int(steps), "grid": grid, "guidance": guidance}
    rows = run.table("samples")
    made_in_all = int(np.logical_and.reduce([rows[key] == value for key, value in cell.items()]).sum())
    if len(kept) < made_in_all:
        err.print(f"[yellow]warning:[/] {escape(source)}: kept {len(kept)} of {made_in_all} samples", soft_wrap=True)
    return replace(open_images(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()), source=source)


def print_json(content: Any) -> None:
    from .metrics.results import finite

    print(json.dumps(finite(content), indent=1))  # noqa: T201
