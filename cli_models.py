"""How the command line names a model: by its spec, as a suite's or as a run's; with fields of its declaration.

Nothing is loaded here: a `Named` says which model, where its relative paths begin, and which data its suite looks at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import ConfigError

if TYPE_CHECKING:
    from .evals.models import Model

SPECS = "SCHEME:LOCATION of a model, SUITE.toml:MODEL or RUN:MODEL."
FieldOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A declared field, such as path=edm or data_range=[0,1].", metavar="FIELD=VALUE"),
]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Folder of runs.", envvar="SIGMASCOPE_RUNS")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="Allow pickles, which may run any code.")]
Device = Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1 ...")]


@dataclass(frozen=True)
class Place:
    """Where real images are, and whose features compare them; empty where nothing says so."""

    data: str = ""
    folder: Path = Path()
    features: str = ""

    def over(self, other: Place, features: str) -> Place:
        """This, or else the other; the features asked for go before both."""
        first = self if self.data else other
        return Place(first.data, first.folder, features or first.features)


@dataclass(frozen=True)
class Named:
    """A model by its name on the command line."""

    model: Model
    folder: Path
    """Where its relative paths begin."""
    place: Place = Place()
    run: str = ""
    """Id of the run it was named by, where it was."""


def named_model(text: str, fields: Sequence[str], root: Path, runs: Path) -> Named:
    """A spec, a suite's model or a run's, with its declared fields; each is checked, and none is loaded."""
    from .evals.loading import known_loaders
    from .evals.store import Store
    from .evals.suite import read_suite

    file, suffix, name = text.partition(".toml:")
    if suffix:
        path = Path(f"{file}.toml")
        suite = read_suite(path).choose([name]).model_dump(by_alias=True)
        return _from_suite(suite, name, fields, path.parent)
    if text.partition(":")[0] in known_loaders():
        return Named(declared({"name": text[-80:], "spec": text}, fields), root)
    run = Store(runs).find(text)
    if run.record.baseline not in [model.name for model in run.record.models] or ":" not in text:
        names = ", ".join(model.name for model in run.record.models)
        raise ConfigError(f"run {run.id}: expected RUN:MODEL with one of its models {names}, got {text!r}")
    return replace(_from_suite(run.record.suite, run.record.baseline, fields, root), run=run.id)


def _from_suite(suite: dict[str, Any], name: str, fields: Sequence[str], folder: Path) -> Named:
    values = next(model for model in suite["models"] if model["name"] == name)
    place = Place(suite["data"]["source"], folder, (suite.get("sampling") or {}).get("features", ""))
    return Named(declared(values, fields), folder, place)


def declared(values: Mapping[str, Any], fields: Sequence[str]) -> Model:
    """A model of these values with fields FIELD=VALUE in TOML over them. Raises ConfigError naming the field."""
    from pydantic import ValidationError

    from .evals.models import Model

    given = dict(values)
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals:
            raise ConfigError(f"--set: expected FIELD=VALUE, got {field!r}")
        given[name.strip()] = _value(text.strip())
    try:
        return Model.model_validate(given)
    except ValidationError as error:
        known = ", ".join(name for name in Model.model_fields if name not in ("name", "spec"))
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        message = "unknown field" if unknown else str(first["msg"]).removeprefix("Value error, ")
        choices = f"; fields are {known}" if unknown else ""
        raise ConfigError(f"{values['name']}: {place}{message}{choices}") from error


def _value(text: str) -> Any:
    """A TOML value; text that is none is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
