"""`sigmascope inspect`: did I declare it right? One model by its spec, or every model of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .cli_models import Device, FieldOption, TrustPickle, declared
from .errors import ConfigError
from .terminal import out

if TYPE_CHECKING:
    from .evals.inspect import Inspection


def inspect(
    spec: Annotated[str, typer.Argument(help="SCHEME:LOCATION of a model, or a suite.", show_default=False)],
    data: Annotated[str, typer.Option(help="Real images: a folder, an .npz file or python:MODULE:FUNCTION.")] = "",
    fields: FieldOption = None,
    images: Annotated[int, typer.Option(min=2, help="Images to try it on.")] = 32,
    device: Device = "cpu",
    trust_pickle: TrustPickle = False,
) -> None:
    """Show what is declared of a model and check it on a few real images. Exit code 2 when it looks wrong."""
    from .evals.conditioning import captioned
    from .evals.data import load_data, seen_by
    from .evals.inspect import inspect as inspected
    from .evals.models import load_model
    from .evals.suite import read_suite

    folder = Path()
    if spec.endswith(".toml"):
        suite = read_suite(Path(spec))
        folder, models, data = Path(spec).parent, suite.models, data or suite.data.source
    else:
        models = [declared({"name": spec[-80:], "spec": spec}, fields or [])]
    if not data:
        raise ConfigError("inspect: expected --data with real images such as the model was trained on")
    images_given = load_data(data, folder).first(images)
    wrong = 0
    for model in models:
        denoiser = load_model(model, folder, device=device, micro_batch=32, trust_pickle=trust_pickle)
        denoiser = denoiser if denoiser.text is None else captioned(denoiser, images_given.captions or ())
        found = inspected(denoiser, seen_by(denoiser, images_given), images=images)
        _print(model.name, found)
        wrong += not found.consistent
    raise typer.Exit(2 if wrong else 0)


def _print(name: str, found: Inspection) -> None:
    table = Table("field", "value", title=escape(name), show_header=False, title_justify="left")
    for field, value in found.convention.items():
        table.add_row(escape(field), escape(value))
    out.print(table)
    if found.ratios:
        levels = Table("sigma", *(f"{sigma:.3g}" for sigma in found.sigmas))
        levels.add_row("error / linear filter's", *(f"{ratio:.2f}" for ratio in found.ratios))
        out.print(levels)
    for mistake in found.mistakes:
        out.print(f"[red]likely mistake:[/] {escape(mistake)}", soft_wrap=True)
    for note in found.notes:
        out.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    if found.consistent:
        out.print(f"[green]consistent[/] with what is declared ({found.evaluations} evaluations)", soft_wrap=True)
