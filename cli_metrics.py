"""The commands that need no run: `metrics`, `explain`, `weights`. They parse, call one function of metrics/, print.

cli.py takes them over with `register(app)`. Tables and JSON go to stdout, progress and warnings to stderr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .errors import ConfigError
from .terminal import err, out

if TYPE_CHECKING:
    from .metrics.evaluate import Advance, Evaluation
    from .metrics.images import Images
    from .metrics.reference import Statistics


SOURCES = "Folder of images, .zip, .tar (webdataset), .npz, or run:ID/MODEL/SAMPLER/STEPS/GRID."
ProtocolName = Annotated[str, typer.Option(help="Whose conventions: `sigmascope list protocols`.")]
Names = Annotated[str, typer.Option("--metrics", "-m", help="Names, separated by commas.")]
Weights = Annotated[Path | None, typer.Option(help="The feature network's weights; else they are searched for.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing weights.")]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1 ...")]
Limit = Annotated[int | None, typer.Option(min=2, help="At most so many images of each set.")]
RunsFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder of runs.", envvar="SIGMASCOPE_RUNS")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable, to stdout.")]


class Precision(StrEnum):
    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


def register(app: typer.Typer) -> None:
    """Adds the commands to an application."""
    app.command("metrics")(metrics)
    app.command("explain")(explain)
    app.command("weights")(weights)


def metrics(
    generated: Annotated[str, typer.Argument(help=SOURCES, show_default=False)],
    reference: Annotated[str, typer.Argument(help="The same, or statistics: .npz, .pkl.", show_default=False)],
    names: Names = "fid,kid,prdc",
    protocol: ProtocolName = "sigmascope",
    features: Annotated[str | None, typer.Option(help="Another feature network than the protocol's.")] = None,
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the network.")] = Precision.float32,
    weights_file: Weights = None,
    download: Download = False,
    repeat_grey: Annotated[bool, typer.Option("--repeat-grey", help="Take greyscale as three channels.")] = False,
    limit: Limit = None,
    device: Device = "cpu",
    runs: RunsFolder = Path("runs"),
    save_statistics: Annotated[
        Path | None, typer.Option(help="Keep GENERATED's mean and covariance in this .npz, as a reference for others.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of images: FID, KID, PRDC and others, each with its interval and its protocol."""
    from dataclasses import replace

    from .metrics.evaluate import evaluate
    from .metrics.features import FeatureOptions
    from .metrics.protocols import PROTOCOLS

    chosen = PROTOCOLS[protocol]
    chosen = replace(chosen, network=features or chosen.network, precision=precision.value)
    options = FeatureOptions(weights=weights_file, download=download, repeat_grey=repeat_grey)
    first, second = _images(generated, runs).first(limit), _source(reference, runs, limit)
    total = first.count + getattr(second, "count", 0)
    with _progress(total) as advance:
        found = evaluate(first, second, _names(names), chosen, options, device, advance)
    for sentence in found.warnings:
        err.print(f"[yellow]warning:[/] {escape(sentence)}", soft_wrap=True)
    if save_statistics is not None:
        _save(save_statistics, found, chosen.network, first)
    if as_json:
        rows = [_jsonable(vars(score)) for score in found.scores]
        _print_json({"protocol": chosen.name, "choices": chosen.choices, "generated": generated, "reference": reference,
                     "seconds": found.seconds, "warnings": found.warnings, "scores": rows})  # fmt: skip
        return
    table = Table("metric", "value", "95% interval", "N", "fingerprint", title=f"protocol {chosen.name}")
    for score in found.scores:
        interval = "" if math.isnan(score.low) else f"{score.low:.6g} – {score.high:.6g}"
        table.add_row(escape(score.metric), f"{score.value:.6g}", interval, f"{score.n:,}", score.fingerprint)
    out.print(table)
    for words in dict.fromkeys(score.protocol for score in found.scores):
        out.print(words, markup=False, soft_wrap=True, style="dim")


def explain(
    first: Annotated[str, typer.Argument(help=f"{SOURCES} Or the JSON of `sigmascope metrics`.", show_default=False)],
    second: Annotated[str, typer.Argument(help="The same.", show_default=False)],
    protocol: ProtocolName = "sigmascope",
    features: Annotated[str | None, typer.Option(help="Another feature network than the protocol's.")] = None,
    weights_file: Weights = None,
    download: Download = False,
    limit: Limit = 1000,
    device: Device = "cpu",
    runs: RunsFolder = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say why two numbers differ: swap one choice at a time and tell what each accounts for."""
    from dataclasses import replace

    from .metrics.explain import Change, differing, explain_sets
    from .metrics.features import FeatureOptions
    from .metrics.protocols import PROTOCOLS

    options = FeatureOptions(weights=weights_file, download=download)
    changes: list[Change]
    if first.endswith(".json") and second.endswith(".json"):
        one, other = (_read_result(path) for path in (first, second))
        changes = differing(one, other, lambda name: _images(name, runs).first(limit), options, device)
    else:
        chosen = PROTOCOLS[protocol]
        chosen = replace(chosen, network=features or chosen.network)
        pair = [_images(name, runs).first(limit) for name in (first, second)]
        with err.status("Swapping one choice at a time"):
            changes = explain_sets(pair[0], pair[1], chosen, options, device)
    if as_json:
        _print_json([_jsonable(vars(change)) for change in changes])
        return
    table = Table("choice", "from", "to", "Fréchet distance", "difference")
    for change in changes:
        value, difference = (_number(number) for number in (change.value, change.difference))
        table.add_row(*(escape(text) for text in (change.choice, change.before, change.after, value, difference)))
    out.print(table)


def weights(
    import_: Annotated[
        list[Path] | None, typer.Option("--import", help="Copy these files in, after checking their hash.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the weights that feature networks need, verify those at hand, import files where there is no network."""
    from .metrics.features.weights import import_weights, inventory

    for path in import_ or []:
        err.print(f"imported {path.name} as {import_weights(path)}", markup=False, soft_wrap=True)
    rows = inventory()
    if as_json:
        _print_json([_jsonable(vars(row)) for row in rows])
        return
    table = Table("features", "file", "state", "where, or how to get it")
    for row in rows:
        table.add_row(row.network, row.file, row.state, escape(row.where))
    out.print(table)


def _names(text: str) -> list[str]:
    from .metrics.pairs import PAIR_METRICS
    from .metrics.scores import METRICS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PAIR_METRICS:
            METRICS[name]
    if not names:
        raise ConfigError(f"--metrics: expected some of {', '.join([*METRICS, *PAIR_METRICS])}, got none")
    return names


def _source(source: str, runs: Path, limit: int | None) -> Images | Statistics:
    from .metrics.reference import is_statistics, read_statistics

    path = Path(source)
    return read_statistics(path) if path.is_file() and is_statistics(path) else _images(source, runs).first(limit)


def _images(source: str, runs: Path) -> Images:
    from .metrics.images import open_images

    if not source.startswith("run:"):
        return open_images(source)
    import numpy as np
    import torch

    from .evals.store import Store

    parts = source.removeprefix("run:").split("/")
    if len(parts) != 5 or not parts[3].isdigit():
        raise ConfigError(f"expected run:ID/MODEL/SAMPLER/STEPS/GRID, got {source!r}")
    run, model, sampler, steps, grid = parts
    kept = Store(runs).find(run).images(model, sampler, int(steps), grid)
    if not kept:
        raise ConfigError(f"expected kept samples of {source!r}, got none")
    return open_images(torch.from_numpy(np.stack([kept[key] for key in sorted(kept)])).permute(0, 3, 1, 2).contiguous())


def _save(path: Path, found: Evaluation, name: str, images: Images) -> None:
    from .metrics.reference import Provenance, Statistics, write_statistics

    network = found.networks[name]
    provenance = Provenance(images.source, n=images.count, preprocessing=network.protocol, network=network.fingerprint)
    write_statistics(path, Statistics.of(found.features[name], provenance))
    err.print(f"wrote {path}", markup=False, soft_wrap=True)


def _read_result(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected the JSON of `sigmascope metrics --json`, got: {error}") from error
    if not isinstance(found, dict) or not {"choices", "generated", "reference", "scores"} <= found.keys():
        raise ConfigError(f"{path}: expected the JSON of `sigmascope metrics --json`, got other content")
    return found


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("images", total=total)
        yield lambda images: bar.update(task, advance=images)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    """Missing numbers as null: JSON has no NaN."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=1))  # noqa: T201
