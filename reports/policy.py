"""What must hold for a change to pass, as a TOML file: gate.py applies it to a comparison.

schema = 1
[[gate]]
metric = "denoising_error"
rule = "noninferior"
margin = { rel = 0.01 }        # at no noise level more than 1% worse
[[gate]]
metric = "fid"
rule = "ceiling"
max = 6.0
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError
from .compare import Settings

DENOISING_ERROR = "denoising_error"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Margin(_Strict):
    """How much worse is still accepted: relative to the baseline, or in the metric's own units."""

    rel: float | None = Field(None, gt=0)
    abs: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.rel is None) == (self.abs is None):
            raise ValueError("expected exactly one of rel and abs")
        return self


class Rule(_Strict):
    """One [[gate]] of a policy."""

    metric: str
    """ "denoising_error", or a metric's name as it stands in the run."""
    rule: Literal["noninferior", "ceiling"]
    margin: Margin | None = None
    """What noninferior accepts."""
    max: float | None = None
    """The ceiling: passed when the whole interval, or the value where there is none, is no higher."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rule == "noninferior" and (self.margin is None or self.max is not None):
            raise ValueError("noninferior: expected margin, and no max")
        if self.rule == "ceiling" and (self.max is None or self.margin is not None):
            raise ValueError("ceiling: expected max, and no margin")
        if self.metric == DENOISING_ERROR and (
            self.rule != "noninferior" or self.margin is None or self.margin.rel is None
        ):
            raise ValueError("denoising_error: expected rule noninferior with a relative margin")
        return self


class Policy(_Strict):
    """What must hold for a change to pass. Unknown keys are refused: a misspelt rule must not pass silently."""

    schema_version: Literal[1] = Field(1, alias="schema")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    gate: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [(rule.metric, rule.rule) for rule in self.gate]
        twice = sorted({f"{metric} {rule}" for metric, rule in names if names.count((metric, rule)) > 1})
        if twice:
            raise ValueError(f"expected each metric and rule once, got twice: {', '.join(twice)}")
        return self

    def settings(self) -> Settings:
        """The comparison this policy judges: its denoising margin, or the default where it has none."""
        margins = [rule.margin.rel for rule in self.gate if rule.metric == DENOISING_ERROR and rule.margin]
        return (
            Settings(margin=margins[0] or 0.0, confidence=self.confidence)
            if margins
            else Settings(confidence=self.confidence)
        )


def read_policy(path: Path) -> Policy:
    """A policy from a TOML file. Raises ConfigError that names the file and every offending key."""
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"policy {path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"policy {path}: {problems}") from error
