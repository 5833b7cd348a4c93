"""The command `explain`: why two numbers differ. It parses, calls one function of metrics/, prints.

cli_metrics.py registers it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .cli_images import (
    SOURCES,
    AsJson,
    Device,
    Download,
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
    from .metrics.explain import Change
    from .metrics.images import Images
    from .metrics.reference import Statistics


def explain(
    first: Annotated[
        str, typer.Argument(help=f"{SOURCES} Or a result: `sigmascope metrics --output FILE.json`.", show_default=False)
    ],
    second: Annotated[str, typer.Argument(help="The same.", show_default=False)],
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", help="Which number; of two results, the first they share.")
    ] = None,
    protocol: ProtocolName = "sigmascope",
    features: Annotated[str | None, typer.Option(help="Another feature network than the protocol's.")] = None,
    weights_file: Weights = None,
    other_weights: Annotated[Path | None, typer.Option(help="Of two sets: weights to swap in.")] = None,
    download: Download = False,
    limit: Annotated[
        int | None,
        typer.Option(min=4, help="At most so many images of each set. By default 1000 of sets, all of results."),
    ] = None,
    device: Device = "cpu",
    runs: RunsFolder = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Say why two numbers differ: swap one choice at a time and tell what each accounts for."""
    from .metrics.explain import DISTANCE, explain_sets
    from .metrics.explain_results import explain_results
    from .metrics.features import FeatureOptions
    from .metrics.protocols import PROTOCOLS
    from .metrics.results import read_result

    options = FeatureOptions(weights=weights_file, download=download)
    results = [name.endswith(".json") for name in (first, second)]
    if any(results) and not all(results):
        raise ConfigError(f"expected two sets of images or two results, got {first} and {second}")
    if all(results):
        one, other = (read_result(Path(path)) for path in (first, second))

        def load(source: str) -> Images | Statistics:
            found, _ = open_reference(source, runs, None, one.protocol)
            assert found is not None
            return found

        with err.status("Swapping one choice at a time"):
            told = explain_results(one, other, load, options, device, metric, limit)
        if as_json:
            print_json(asdict(told))
            return
        for name, score in (("first", told.first), ("second", told.second)):
            text = f"{score.value:.6g}  [{score.fingerprint}] {score.protocol}" if score else "not stored"
            out.print(f"{name:>7}: {told.metric} {text}", markup=False, highlight=False, soft_wrap=True)
        if told.first and told.second and told.incomparable:
            out.print("fingerprints differ: not comparable as they stand", style="yellow", highlight=False)
        _print_changes(told.changes, told.metric)
        return
    chosen = PROTOCOLS[protocol]
    chosen = replace(chosen, network=features or chosen.network)
    limit = limit or 1000
    images = open_source(first, runs).first(limit)
    reference, _ = open_reference(second, runs, limit, chosen)
    assert reference is not None
    with err.status("Swapping one choice at a time"):
        changes = explain_sets(images, reference, chosen, options, device, metric or DISTANCE, other_weights)
    if as_json:
        print_json([vars(change) for change in changes])
        return
    _print_changes(changes, metric or DISTANCE)


def _print_changes(changes: list[Change], metric: str) -> None:
    table = Table("choice", "from", "to", metric, "difference", "note")
    for change in changes:
        value, difference = (_number(number) for number in (change.value, change.difference))
        cells = (change.choice, change.before, change.after, value, difference, change.note)
        table.add_row(*(escape(text) for text in cells))
    out.print(table)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
