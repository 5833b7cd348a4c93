"""A model of a suite: `[[models]]` with its spec, the fields of its declaration, and how it is guided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..errors import ConfigError
from .companions import NONE
from .conditioning import Guidance, guided
from .declaration import FIELDS, Declaration, TimeShape, output
from .denoiser import Denoiser
from .loading import PRESETS, Recipe, load, parsed
from .loading.companions import COMPANIONS, checked
from .paths import path
from .schedules import OffGrid


def checked_spec(spec: str) -> str:
    """SCHEME:LOCATION with a known scheme. Raises ConfigError listing them."""
    parsed(spec)
    return spec


Spec = Annotated[str, AfterValidator(checked_spec)]


class GuidanceSettings(BaseModel):
    """Classifier-free guidance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float
    null: dict[str, float | int] | str
    """What stands for no condition, such as {class_labels = 10}; for text a prompt, "" or a negative one."""
    interval: tuple[float, float] = (0.0, float("inf"))
    doubled: bool = False

    def guidance(self) -> Guidance:
        return Guidance(self.scale, self.null, self.interval, self.doubled)


class Model(BaseModel):
    """One denoiser to evaluate. Every field from `path` to `text` is one of `Declaration`'s."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    spec: Spec
    """SCHEME:LOCATION; a relative path is relative to the suite's folder."""
    preset: str = ""
    """A family whose conventions stand where nothing is declared."""
    factory: str = ""
    """MODULE:FUNCTION or FILE.py:FUNCTION that builds the network which a file of weights fills."""
    key: str = ""
    """The entry of a checkpoint that holds the weights."""
    path: str | dict[str, list[float]] | dict[str, str] | None = None
    output: str | dict[str, str] | None = None
    event_shape: tuple[int, ...] | None = None
    time: str | list[float] | None = None
    call: str | None = None
    pick: str | None = None
    data_range: tuple[float, float] | None = None
    off_grid: OffGrid | None = None
    time_shape: TimeShape | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    grad: bool | None = None
    dtype: Literal["float64", "float32", "float16", "bfloat16"] | None = None
    classes: Annotated[int, Field(ge=1)] | None = None
    autoencoder: str | None = None
    text: str | None = None
    guidance: GuidanceSettings | None = None

    @model_validator(mode="after")
    def _known(self) -> Model:
        if self.path is not None:
            path(self.path)
        if self.output is not None:
            output(self.output)
        for field in COMPANIONS:
            checked(getattr(self, field) or NONE, field)
        if self.preset:
            PRESETS[self.preset]
        return self

    @property
    def declaration(self) -> Declaration:
        """The fields that are set."""
        return Declaration(**{name: getattr(self, name) for name in FIELDS})


def load_model(
    model: Model, folder: Path, *, device: torch.device | str, micro_batch: int, trust_pickle: bool = False
) -> Denoiser:
    """The model's denoiser, guided if it says so. Relative paths begin at `folder`.

    Raises ConfigError and LoadError.
    """
    factory = _rooted(model.factory, folder, may_be_module=True)
    recipe = Recipe(model.declaration, model.preset, factory, model.key, trust_pickle, folder)
    scheme, _, location = model.spec.partition(":")
    location = _rooted(location, folder, may_be_module=scheme == "python")
    denoiser = load(f"{scheme}:{location}", device=device, micro_batch=micro_batch, recipe=recipe)
    traits = replace(denoiser.traits, spec=model.spec)
    if model.guidance is not None:
        try:
            denoiser = guided(denoiser, model.guidance.guidance())
        except ConfigError as error:
            raise ConfigError(f"model {model.name!r}: {error}") from error
        traits = replace(traits, declaration={**traits.declaration, "guidance": str(model.guidance)})
    denoiser.traits = traits
    return denoiser


def _rooted(location: str, folder: Path, *, may_be_module: bool) -> str:
    """A relative path begins at the suite's folder; a module's name stays as it is."""
    file, colon, function = location.partition(":")
    is_module = may_be_module and colon and not file.endswith(".py")
    return location if is_module or not file or not (folder / file).exists() else f"{folder / file}{colon}{function}"
