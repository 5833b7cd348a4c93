"""`sigmascope inspect`: did I declare it right? One model by its spec, or every model of a suite."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .errors import ConfigError
from .terminal import out

if TYPE_CHECKING:
    from .evals.inspect import Inspection
    from .evals.models import Model


def inspect(
    spec: Annotated[str, typer.Argument(help="SCHEME:LOCATION of a model, or a suite.", show_default=False)],
    data: Annotated[str, typer.Option(help="Real images: a folder, an .npz file or python:MODULE:FUNCTION.")] = "",
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A field of the declaration, such as path=edm or data_range=[0,1].", metavar="FIELD=VALUE"
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Images to try it on.")] = 32,
    device: Annotated[str, typer.Option()] = "cpu",
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Allow pickles, which may run any code.")
    ] = False,
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
        models = [_model(spec, fields or [])]
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


def _model(spec: str, fields: list[str]) -> Model:
    """The model of a spec with its declared fields, checked as a suite's."""
    from pydantic import ValidationError

    from .evals.models import Model

    values: dict[str, Any] = {"name": spec[-80:], "spec": spec}
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals:
            raise ConfigError(f"--set: expected FIELD=VALUE, got {field!r}")
        values[name.strip()] = _value(text.strip())
    try:
        return Model.model_validate(values)
    except ValidationError as error:
        known = ", ".join(name for name in Model.model_fields if name not in ("name", "spec"))
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{place}: {message}; fields are {known}") from error


def _value(text: str) -> Any:
    """A TOML value; text that is none is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


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
