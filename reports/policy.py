"""What must hold for a change to pass, as a TOML file: gate.py applies it to a comparison.

schema = 1
alpha = 0.05                   # P(fail | no worse) <= alpha over all rules, P(pass | worse by the margin) <= alpha
require = ["device"]           # parts of the environment that must be equal too
budget = 40_000                # network evaluations of `gate --sequential`, at most
[[gate]]
metric = "denoising_error"
rule = "noninferior"
margin = { rel = 0.01 }        # at no noise level more than 1% worse
bands = [[0.1, 1.0]]           # of these; all by default
[[gate]]
metric = "denoising_error"
rule = "noninferior"
slices = "class"               # at no noise level of any class
margin = { rel = 0.10 }
[[gate]]
metric = "FID"
rule = "ceiling"
max = 6.0
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError
from .compare import Settings

DENOISING_ERROR = "denoising_error"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    """The ceiling: passed when the bound of the interval, or the value where there is none, is no higher."""
    bands: tuple[tuple[float, float], ...] = ()
    """Of the denoising error: sigma from low to high, ends included, each band a check of its own. None: all levels."""
    slices: Literal["class"] | None = None
    """Of the denoising error: every class of images alone."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.rule == "noninferior" and (self.margin is None or self.max is not None):
            raise ValueError("noninferior: expected margin, and no max")
        if self.rule == "ceiling" and (self.max is None or self.margin is not None):
            raise ValueError("ceiling: expected max, and no margin")
        if self.metric != DENOISING_ERROR and (self.bands or self.slices):
            raise ValueError(f"bands and slices: expected metric {DENOISING_ERROR!r}, got {self.metric!r}")
        if self.slices and (self.margin is None or self.margin.rel is None):
            raise ValueError("slices: expected rule noninferior with a relative margin")
        for low, high in self.bands:
            if not 0 <= low < high:
                raise ValueError(f"bands: expected [low, high] with 0 <= low < high in sigma, got [{low:g}, {high:g}]")
        return self


class Policy(_Strict):
    """What must hold for a change to pass. Unknown keys are refused: a misspelt rule must not pass silently."""

    schema_version: Literal[1] = Field(1, alias="schema")
    alpha: float | None = Field(None, gt=0, lt=0.5)
    """Error rate of either side; `confidence` says the same as 1 - alpha."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    require: tuple[str, ...] = ()
    """Entries of the runs' environments that must be equal, such as "device" or "torch", beside the fingerprint."""
    budget: int | None = Field(None, ge=1)
    """Network evaluations, both models together, that `gate --sequential` may make."""
    gate: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if {"alpha", "confidence"} <= self.model_fields_set:
            raise ValueError("expected one of alpha and confidence (which is 1 - alpha), got both")
        names = [(rule.metric, rule.rule, rule.bands, rule.slices or "") for rule in self.gate]
        twice = sorted({f"{name[0]} {name[1]}" for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected each metric and rule once for the same bands, got twice: {', '.join(twice)}")
        return self

    @property
    def level(self) -> float:
        """1 - alpha, whichever of the two was given."""
        return self.confidence if self.alpha is None else 1 - self.alpha

    @property
    def families(self) -> int:
        """Among how many tables of tests the FAIL side shares alpha: noise levels, their classes, and every rule of a
        metric. Rules about the same levels share one table, whose bounds hold jointly.
        """
        alike = {(rule.metric, rule.slices) for rule in self.gate if _relative(rule)}
        return len(alike) + sum(not _relative(rule) for rule in self.gate)

    def settings(self) -> Settings:
        """The comparison this policy judges: its first denoising margin, or the default where it has none."""
        settings = Settings(
            confidence=self.level, families=self.families, slices=any(rule.slices for rule in self.gate)
        )
        margins = [rule.margin.rel for rule in self.gate if rule.margin and rule.margin.rel and _relative(rule)]
        return replace(settings, margin=margins[0]) if margins else settings


def _relative(rule: Rule) -> bool:
    """Whether a rule is about the ratio of denoising errors."""
    return rule.metric == DENOISING_ERROR and rule.margin is not None and rule.margin.rel is not None


def read_policy(path: Path) -> Policy:
    """A policy from a TOML file. Raises ConfigError that names the file and every offending key."""
    try:
        return checked_policy(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"policy {path}: expected a policy in TOML, got: {error}") from error


def checked_policy(content: dict[str, Any], source: str) -> Policy:
    """A policy from its content; `source` is what an error names. Raises ConfigError as `read_policy` does."""
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        inside = any(problem["loc"][:1] == ("gate",) and len(problem["loc"]) > 1 for problem in found)
        told = [one for one in found if not (inside and one["loc"] == ("gate",))]  # a broken rule also counts as none
        raise ConfigError(f"policy {source}: {'; '.join(map(_explained, told))}") from error


_TABLES: dict[object, type[BaseModel]] = {"gate": Rule, "margin": Margin}


def _explained(problem: object) -> str:
    """What was expected and what came, for one of pydantic's errors."""
    assert isinstance(problem, dict)
    path, kind, context = problem["loc"], str(problem["type"]), problem.get("ctx", {})
    place = ".".join(map(str, path))
    given = repr(problem.get("input"))
    got = f", got {given}" if len(given) <= 60 else ""
    if kind == "extra_forbidden":
        owner = next((_TABLES[part] for part in reversed(path[:-1]) if part in _TABLES), Policy)
        known = ", ".join(field.alias or name for name, field in owner.model_fields.items())
        return f"{place}: unknown key, expected one of {known}"
    if kind == "value_error":
        return f"{place or 'policy'}: {str(problem['msg']).removeprefix('Value error, ')}"
    expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0]) or str(problem["msg"])
    return f"{place}: expected {expected.format(**context)}" + (", got none" if kind == "missing" else got)


_EXPECTED = {
    "missing": "a value",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "finite_number": "a finite number",
    "too_short": "at least {min_length} of them",
    "too_long": "{max_length} of them",
    "float": "a number",
    "int": "a whole number",
    "string": "a string",
    "tuple": "a list",
    "model": "a table",
}
"""By pydantic's kinds of errors, or their first words."""
