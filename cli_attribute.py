"""`sigmascope attribute`: which noise bands carry the change between two models' samples, and how sure is that?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from .cli_kept import KeepOption, told_kept
from .cli_models import SPECS, Device, FieldOption, Named, Place, RunsFolder, TrustPickle, named_model
from .errors import ConfigError
from .terminal import err, out

if TYPE_CHECKING:
    from torch import Tensor

    from .evals.attribution import Attribution, Player
    from .evals.samplers import Solver
    from .metrics.features import FeatureNetwork
    from .reports.attribution_document import Subject
    from .reports.kept import Contender

CandidateField = Annotated[
    list[str] | None,
    typer.Option("--candidate-set", help="A field of the candidate's alone.", metavar="FIELD=VALUE"),
]


def attribute(
    base: Annotated[str, typer.Argument(help=SPECS, show_default=False)],
    candidate: Annotated[str, typer.Argument(help="The same.", show_default=False)],
    data: Annotated[
        str, typer.Option(help="Real images: a folder, an .npz file or python:MODULE:FUNCTION; else the suite's.")
    ] = "",
    metrics: Annotated[
        str, typer.Option("--metrics", "-m", help="kernel_distance, frechet_distance, drift; the first one judges.")
    ] = "kernel_distance,frechet_distance",
    features: Annotated[
        str, typer.Option(help="Network whose features are compared, or none; else the suite's, or inception.")
    ] = "",
    sampler: Annotated[str, typer.Option(help="Of both players.")] = "heun",
    candidate_sampler: Annotated[str, typer.Option(help="Of the candidate, if another.", show_default=False)] = "",
    steps: Annotated[int, typer.Option(min=1, help="From the highest sigma to 0.")] = 12,
    grid: Annotated[str, typer.Option(help="How steps are dealt to the bands.")] = "log_snr",
    bands: Annotated[int, typer.Option(min=1, max=64, help="Bands of equal width in log-SNR.")] = 4,
    edges: Annotated[str, typer.Option(help="Cuts at these sigmas instead, separated by commas.")] = "",
    screen: Annotated[
        bool, typer.Option("--screen", help="Both switch curves alone: K + 1 runs, for any number of bands.")
    ] = False,
    seeds: Annotated[str, typer.Option(help="Sample ids, first and last.")] = "0-511",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    fields: FieldOption = None,
    candidate_fields: CandidateField = None,
    root: Annotated[Path, typer.Option(help="Where relative paths of specs begin.")] = Path(),
    runs_folder: RunsFolder = Path("runs"),
    device: Device = "cpu",
    micro_batch: Annotated[int, typer.Option(min=1, help="Rows per network call.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples carried at once; bounds memory.")] = 256,
    trust_pickle: TrustPickle = False,
    output: Annotated[
        list[Path] | None, typer.Option("--output", "-o", help="Also write .html, .md or .json.", show_default=False)
    ] = None,
    keep: KeepOption = True,
) -> None:
    """Say which noise bands carry the change from BASE to CANDIDATE. Exit code 4 where no change is sure."""
    import torch

    from .evals import attribution as stitching
    from .evals.noise import Noise
    from .evals.samplers import GRIDS, solver
    from .evals.suite import seed_range
    from .reports.attribution import finding, write_attribution
    from .reports.attribution_document import Subject
    from .reports.files import check_outputs
    from .reports.kept import keep_attribution

    check_outputs(output or [])
    ids, names = seed_range(seeds), _metric_names(metrics)
    methods = solver(sampler), solver(candidate_sampler or sampler)
    here, there = fields or [], [*(fields or []), *(candidate_fields or [])]
    first, second = named_model(base, here, root, runs_folder), named_model(candidate, there, root, runs_folder)
    with err.status("Loading models and data"):
        player = _player(first, methods[0], device, micro_batch, trust_pickle)
        other = _player(second, methods[1], device, micro_batch, trust_pickle)
        ends = _edges(player, other, bands, edges)
        game = stitching.Game(len(ends) - 1, not screen)
        cut = stitching.divide(player.denoiser.schedule, GRIDS[grid], steps, ends)
        stitching.check(player, other, cut)
        place = Place(data, Path(), features) if data else first.place.over(second.place, features)
        network = _network(place.features, device)
        reference = _reference(names, place, network, player)
    with _progress(stitching.planned(player, other, cut, game.coalitions) * len(ids)) as advance:
        found = stitching.attribute(
            player,
            other,
            cut,
            names,
            torch.arange(ids.start, ids.stop),
            Noise(seed),
            reference=reference,
            network=network,
            exact=not screen,
            batch_size=batch_size,
            progress=advance,
        )
    settings = {
        "base": _identity(player),
        "candidate": _identity(other),
        "sampler": sampler if candidate_sampler in ("", sampler) else f"{sampler}, candidate's {candidate_sampler}",
        "steps": f"{steps}, {grid}",
        "seeds": f"{seeds}, noise {seed}",
        "features": network.protocol if network else "samples as they are",
        "data": place.data or "none",
        "declared": "; ".join([*here, *(f"candidate's {field}" for field in candidate_fields or [])]) or "as loaded",
        "device": device,
    }
    sides = _contender(first, player, sampler), _contender(second, other, candidate_sampler or sampler)
    subject = Subject(*_told_apart(first.model.name, second.model.name), settings)
    _print(found, subject)
    if keep:
        told_kept(lambda: keep_attribution(runs_folder, *sides, found, subject))
    write_attribution(output or [], found, subject)
    raise typer.Exit(4 if finding(found, found.metrics[0]) == "unclear" else 0)


def _player(named: Named, method: Solver, device: str, micro_batch: int, trust_pickle: bool) -> Player:
    from .evals.attribution import Player, class_balanced
    from .evals.models import load_model

    denoiser = load_model(named.model, named.folder, device=device, micro_batch=micro_batch, trust_pickle=trust_pickle)
    return Player(denoiser, method, class_balanced(denoiser))


def _contender(named: Named, player: Player, sampler: str) -> Contender:
    """Who this is, for those who look for it later."""
    from .reports.kept import Contender, declared

    denoiser = player.denoiser
    return Contender(
        name=named.model.name,
        spec=named.model.spec,
        fingerprint=denoiser.traits.fingerprint,
        parameterization=denoiser.parameterization.name,
        schedule=repr(denoiser.schedule),
        declared=declared(named.model.model_dump(mode="json")),
        sampler=sampler,
        run=named.run,
    )


def _edges(player: Player, other: Player, count: int, edges: str) -> tuple[float, ...]:
    """Of bands over the range that both models share: uniform, or with these cuts."""
    from .evals.attribution import checked_edges, shared_range, uniform_edges

    low, high = shared_range([player.denoiser.schedule, other.denoiser.schedule])
    try:
        cuts = [float(cut) for cut in edges.split(",") if cut.strip()]
    except ValueError as error:
        raise ConfigError(f"--edges: expected sigmas separated by commas, got {edges!r}") from error
    return checked_edges(cuts, low, high) if cuts else uniform_edges(low, high, count)


def _network(features: str, device: str) -> FeatureNetwork | None:
    from .metrics.features import load_features

    return None if features == "none" else load_features(features or "inception").to(device)


def _reference(names: Sequence[str], place: Place, network: FeatureNetwork | None, player: Player) -> Tensor | None:
    """Features of the real images, where a metric needs them."""
    from .evals.attribution import real_features
    from .evals.data import load_data

    if set(names) <= {"drift"}:
        return None
    if not place.data:
        raise ConfigError("attribute: expected --data with real images, or -m drift, which needs none")
    images = load_data(place.data, place.folder).images
    if tuple(images.shape[1:]) != player.denoiser.image_shape:
        raise ConfigError(
            f"{place.data}: expected images of shape {player.denoiser.image_shape}, got {tuple(images.shape[1:])}"
        )
    return real_features(images, network)


def _metric_names(text: str) -> list[str]:
    from .evals.attribution import VALUES

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        VALUES[name]
    if not names:
        raise ConfigError(f"--metrics: expected some of {', '.join(VALUES)}, got none")
    return names


def _identity(player: Player) -> str:
    """Spec and weights."""
    traits = player.denoiser.traits
    return " ".join(part for part in (traits.spec, traits.fingerprint[:16]) if part)


def _told_apart(base: str, candidate: str) -> tuple[str, str]:
    """Names that tell the players apart where one model plays both."""
    return (base, candidate) if base != candidate else (base, f"{candidate} (candidate)")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(f"{total:,} network evaluations", total=total)
        yield lambda evaluations: bar.update(task, advance=evaluations)


def _print(found: Attribution, subject: Subject) -> None:
    from .reports.attribution import COLUMNS, cost, curve_rows, rows, sentences

    metric = found.metrics[0]
    table = Table(*COLUMNS, title=escape(metric), title_justify="left")
    for row in rows(found, metric):
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)
    curves = Table("switch at sigma", "candidate above", "candidate below")
    for row in curve_rows(found, metric):
        curves.add_row(*(escape(cell) for cell in row))
    out.print(curves)
    for index, one in enumerate(sentences(found, subject)):
        out.print(one, markup=False, highlight=False, soft_wrap=True, style="bold" if index == 0 else "dim")
    out.print(cost(found), markup=False, highlight=False, soft_wrap=True, style="dim")
