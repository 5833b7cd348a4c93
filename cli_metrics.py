"""The commands that need no run: `metrics` and `weights`, and `explain` of cli_explain.py.

They parse, call one function of metrics/, print. cli.py takes them over with `register(app)`. Tables and JSON go to
stdout, progress and warnings to stderr.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from .cli_explain import explain
from .cli_images import (
    SOURCES,
    AsJson,
    Device,
    Download,
    Limit,
    ProtocolName,
    RunsFolder,
    Weights,
    open_reference,
    open_source,
    print_json,
)
from .errors import ConfigError
from .terminal import err, out

if TYPE_CHECKING:
    from .metrics.evaluate import Advance, Evaluation
    from .metrics.features import FeatureOptions
    from .metrics.protocols import Protocol
    from .metrics.results import Result


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
    reference: Annotated[
        str | None, typer.Argument(help="The same, or statistics: .npz, .pkl.", show_default=False)
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--metrics", "-m", help="Names, separated by commas: `sigmascope list metrics`. By default fid,kid,prdc."
        ),
    ] = None,
    protocol: ProtocolName = "sigmascope",
    features: Annotated[str | None, typer.Option(help="Another feature network than the protocol's.")] = None,
    precision: Annotated[Precision, typer.Option(help="Arithmetic of the network.")] = Precision.float32,
    compiled: Annotated[bool, typer.Option("--compiled", help="Run the network through torch.compile.")] = False,
    weights_file: Weights = None,
    download: Download = False,
    repeat_grey: Annotated[bool, typer.Option("--repeat-grey", help="Take greyscale as three channels.")] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="What images were made from: .txt in order, .jsonl or .csv by file name.")
    ] = None,
    limit: Limit = None,
    device: Device = "cpu",
    runs: RunsFolder = Path("runs"),
    save_statistics: Annotated[
        Path | None,
        typer.Option(
            help="Keep GENERATED's mean and covariance: .npz (EDM, pytorch-fid, guided-diffusion), .pkl (EDM2)."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which part of a data set GENERATED is, kept with its statistics.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write the result, for `explain`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of images: FID, KID, PRDC and others, each with its interval and its protocol."""
    from .metrics.evaluate import evaluate
    from .metrics.features import FeatureOptions
    from .metrics.prompts import read_prompts
    from .metrics.protocols import PROTOCOLS
    from .metrics.reference import check_target
    from .metrics.results import write_result

    chosen = PROTOCOLS[protocol]
    chosen = replace(chosen, network=features or chosen.network, precision=precision.value, compiled=compiled)
    if save_statistics is not None:
        check_target(save_statistics, chosen.network)
    for target in (output, save_statistics):
        if target is not None and not target.absolute().parent.is_dir():
            raise ConfigError(f"{target}: expected an existing folder to write to, got none")
    asked = [] if names is None and reference is None and save_statistics else _names(names or "fid,kid,prdc")
    options = FeatureOptions(weights=weights_file, download=download, repeat_grey=repeat_grey)
    first = open_source(generated, runs).first(limit)
    second, stored = open_reference(reference, runs, limit, chosen)
    texts = None if prompts is None else read_prompts(prompts).of(first)
    with _progress(first.count + getattr(second, "count", 0)) as advance:
        found = evaluate(
            first, second, asked, chosen, options, device, advance, texts, stored, moments=save_statistics is not None
        )
    for sentence in found.warnings:
        err.print(f"[yellow]warning:[/] {escape(sentence)}", soft_wrap=True)
    if save_statistics is not None:
        _save(save_statistics, found, chosen.network, generated, split)
    result = _result(found, chosen, asked, options, generated, reference, prompts)
    if output is not None:
        write_result(output, result)
        err.print(f"wrote {output}", markup=False, soft_wrap=True)
    if as_json:
        print_json(result.as_json())
    elif found.scores:
        _print_scores(found, chosen.name)


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
        print_json([vars(row) for row in rows])
        return
    table = Table("features", "file", "state", Column("where, or how to get it", overflow="fold"))
    for row in rows:
        table.add_row(row.network, row.file, row.state, escape(row.where))
    out.print(table)


def _names(text: str) -> list[str]:
    from .metrics.pairs import PAIR_METRICS
    from .metrics.scores import METRICS

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in PAIR_METRICS:
            METRICS[name]
    if not names:
        raise ConfigError(f"--metrics: expected some of {', '.join([*METRICS, *PAIR_METRICS])}, got none")
    return names


def _save(path: Path, found: Evaluation, name: str, source: str, split: str | None) -> None:
    from .metrics.reference import Provenance, Statistics, split_of, write_statistics

    network, seen = found.networks[name], found.generated
    known = Provenance(
        source,
        split_of(source) if split is None else split,
        seen.size,
        seen.count,
        network.protocol,
        network.fingerprint,
    )
    write_statistics(path, Statistics.of(found.features[name], known), name)
    err.print(f"wrote {path}", markup=False, soft_wrap=True)


def _result(
    found: Evaluation,
    protocol: Protocol,
    names: list[str],
    options: FeatureOptions,
    generated: str,
    reference: str | None,
    prompts: Path | None,
) -> Result:
    from .metrics.results import NetworkFacts, Result

    named = str(options.weights or "")
    alone = len(found.networks) == 1
    networks = {
        name: NetworkFacts(
            one.protocol, one.fingerprint, one.weights_sha256, named if alone or name == protocol.network else ""
        )
        for name, one in found.networks.items()
    }
    return Result(
        protocol,
        tuple(names),
        replace(found.generated, source=generated),
        None if found.reference is None else replace(found.reference, source=reference or ""),
        networks,
        tuple(found.scores),
        options.repeat_grey,
        str(prompts or ""),
        tuple(found.warnings),
        found.seconds,
    )


def _print_scores(found: Evaluation, protocol: str) -> None:
    from .reports.tables import better

    arrows = {"lower": "↓", "higher": "↑"}
    table = Table("metric", "value", "95% interval", "N", "fingerprint", title=f"protocol {protocol}")
    for score in found.scores:
        interval = "" if math.isnan(score.low) else f"{score.low:.6g} – {score.high:.6g}"
        name = f"{score.metric} {arrows.get(better(score.metric), '')}"
        table.add_row(escape(name), f"{score.value:.6g}", interval, f"{score.n:,}", score.fingerprint)
    out.print(table)
    for words in dict.fromkeys(score.protocol for score in found.scores):
        out.print(words, markup=False, soft_wrap=True, style="dim")


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s,"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("images", total=total, rate="?")

        def advance(images: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=images, rate=f"{speed:,.0f}" if speed else "?")

        yield advance
