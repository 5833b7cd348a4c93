"""`sigmascope advise`: where should a solver's steps go for this model, and what would that gain?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from .cli_models import SPECS, Device, FieldOption, RunsFolder, TrustPickle, named_model
from .errors import ConfigError
from .terminal import err, out

if TYPE_CHECKING:
    from .evals.trajectories.advice import Advice, Judged


def advise(
    model: Annotated[str, typer.Argument(help=SPECS, show_default=False)],
    steps: Annotated[int, typer.Option(min=3, help="How many there are to spend.")] = 10,
    sampler: Annotated[str, typer.Option(help="One that draws no noise.")] = "heun",
    grid: Annotated[str, typer.Option(help="To begin with, and to compare with.")] = "karras",
    seeds: Annotated[str, typer.Option(help="Sample ids: half of them choose, the others judge.")] = "0-255",
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often the proposal is improved.")] = 4,
    fields: FieldOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    root: Annotated[Path, typer.Option(help="Where relative paths of specs begin.")] = Path(),
    runs_folder: RunsFolder = Path("runs"),
    device: Device = "cpu",
    micro_batch: Annotated[int, typer.Option(min=1, help="Rows per network call.")] = 64,
    trust_pickle: TrustPickle = False,
    output: Annotated[
        list[Path] | None, typer.Option("--output", "-o", help="Also write .json.", show_default=False)
    ] = None,
) -> None:
    """Propose a grid of noise levels for a number of steps. Exit code 4 where none is better for sure."""
    import torch

    from .evals.attribution import class_balanced
    from .evals.models import load_model
    from .evals.noise import Noise
    from .evals.samplers import GRIDS, solver
    from .evals.suite import seed_range
    from .evals.trajectories import Course
    from .evals.trajectories.advice import advise as advised

    for path in output or []:
        if path.suffix != ".json" or not path.parent.is_dir():
            raise ConfigError(f"--output: expected a .json file in a folder that exists, got {path}")
    ids, levels = seed_range(seeds), GRIDS[grid]
    solver(sampler)  # refused here, before anything is loaded
    named = named_model(model, fields or [], root, runs_folder)
    with err.status("Loading the model"):
        denoiser = load_model(
            named.model, named.folder, device=device, micro_batch=micro_batch, trust_pickle=trust_pickle
        )
        course = Course(denoiser, lambda: solver(sampler), steps, levels, Noise(seed), class_balanced(denoiser))
    with err.status("Trying grids") as status:
        found = advised(
            course,
            torch.arange(ids.start, ids.stop),
            start=grid,
            rounds=rounds,
            progress=lambda done: status.update(f"Trying grids: {done + 1} of {rounds + 1}"),
        )
    _print(found, named.model.name, sampler)
    for path in output or []:
        path.write_text(json.dumps(_as_json(found), indent=1, allow_nan=False))
    raise typer.Exit(0 if found.better else 4)


def _print(found: Advice, model: str, sampler: str) -> None:
    from .reports.numbers import interval, number, percent

    before, after = found.before, found.after
    table = Table("step", f"{before.name}: sigma", "local error", "proposed: sigma", "local error")
    for index, (sigma, size, other, other_size) in enumerate(
        zip(before.sigmas, before.sizes, after.sigmas, after.sizes, strict=False)
    ):
        cells = (number(sigma), number(size, 2), number(other), number(other_size, 2))
        table.add_row(str(index + 1), *cells)
    out.print(table)
    ratio = float(found.ratio.ratio[0])
    bounds = interval(float(found.ratio.low[0]), float(found.ratio.high[0]))
    verdict = "nearer to the exact ODE" if found.better else "no surely better grid was found"
    lines = [
        f"{model} with {sampler}, {len(before.sizes)} steps: {verdict}; squared distance to its end points "
        f"{_distance(before)} → {_distance(after)}, {percent(ratio)} (ratio {number(ratio)} {bounds}), on "
        f"{found.samples} samples that did not choose it",
        f'grids = ["{after.name}"]' if found.better else f"{before.name} may stay",
    ]
    for line, style in zip(lines, ("bold", None), strict=True):
        out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    err.print(
        f"{found.evaluations:,} network evaluations; local errors in standard deviations of the samples",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def _distance(judged: Judged) -> str:
    from .reports.numbers import interval, number

    distance = judged.distance
    return f"{number(float(distance.value))} {interval(float(distance.low), float(distance.high))}"


def _as_json(found: Advice) -> dict[str, Any]:
    from .reports.machine import finite

    def plain(judged: Judged) -> dict[str, Any]:
        distance = {name: float(getattr(judged.distance, name)) for name in ("value", "low", "high")}
        return {
            "grid": judged.name,
            "sigmas": judged.sigmas,
            "local_errors": judged.sizes,
            "squared_distance": distance,
        }

    ratio = {name: finite(float(getattr(found.ratio, name)[0])) for name in ("ratio", "low", "high")}
    return {
        "schema_version": 1,
        "before": plain(found.before),
        "after": plain(found.after),
        "ratio": ratio,
        "better": found.better,
        "samples": found.samples,
        "evaluations": found.evaluations,
    }
