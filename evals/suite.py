"""The suite: a TOML file that says what to run. Typed, strict, checked whole before anything expensive."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ConfigError
from ..metrics.features import FEATURE_NETWORKS
from ..registry import Registry
from .models import Model
from .probes import SETS, Target, probe
from .samplers import GRIDS, solver
from .scoring import METRICS
from .trajectories import trajectory_probe


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(registry: Registry[Any]) -> Callable[[str], str]:
    def check(name: str) -> str:
        registry[name]
        return name

    return check


def _checked_sampler(name: str) -> str:
    solver(name)
    return name


def _checked_trajectory_probe(text: str) -> str:
    trajectory_probe(text)
    return text


def _checked_probe(text: str) -> str:
    if text not in SETS:
        probe(text)
    return text


MOST_SAMPLES = 10_000_000


def _distinct(names: list[Any]) -> list[Any]:
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"expected distinct entries, got {', '.join(repeated)} more than once")
    return names


def _checked_seeds(text: str) -> str:
    seed_range(text)
    return text


def seed_range(text: str) -> range:
    """ "0-255" -> range(0, 256), a single "7" -> range(7, 8)."""
    match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", text.strip())
    if not match or not 0 <= int(match[2] or match[1]) - int(match[1]) < MOST_SAMPLES:
        raise ConfigError(f"seeds: expected FIRST-LAST such as '0-255', at most {MOST_SAMPLES:,} ids, got {text!r}")
    return range(int(match[1]), int(match[2] or match[1]) + 1)


Sampler = Annotated[str, AfterValidator(_checked_sampler)]
GridName = Annotated[str, AfterValidator(_known(GRIDS))]
MetricName = Annotated[str, AfterValidator(_known(METRICS))]
FeatureName = Annotated[str, AfterValidator(_known(FEATURE_NETWORKS))]
TrajectoryProbeName = Annotated[str, AfterValidator(_checked_trajectory_probe)]
ProbeName = Annotated[str, AfterValidator(_checked_probe)]
Seeds = Annotated[str, AfterValidator(_checked_seeds)]
Count = Annotated[int, Field(ge=1)]


class Data(_Strict):
    """Held-out images: noised by the probes, and the reference of the metrics."""

    source: str
    """python:MODULE:FUNCTION, a folder of images or an .npz file."""
    limit: Annotated[int, Field(ge=2)] | None = None
    """Use only the first images."""
    train: str = ""
    """Training images, for the probes that compare with them; as `source`."""


class Probes(_Strict):
    """One pass over noise levels: the denoising error (P1), and every other probe that is named."""

    levels: Annotated[int, Field(ge=2)] = 24
    """Uniform in log-SNR."""
    draws: Count = 2
    """Noise draws per image and level; with `precision`, at most."""
    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Adaptive mode: evaluate where the error is least sure until every level's 95% interval is within so much of it,
    0.02 for 2%. None: all images at all levels."""
    budget: Count | None = None
    """Of an adaptive pass: network evaluations per model, at most, beside what further probes ask for. None: what all
    images at all levels take."""
    sigma_min: Annotated[float, Field(gt=0)] | None = None
    """None: the range that all models of the suite share."""
    sigma_max: Annotated[float, Field(gt=0)] | None = None
    use: Annotated[list[ProbeName], AfterValidator(_distinct)] = []
    """Further probes, such as "calibration" or "sure(directions=4)"; "default" and "thorough" stand for several."""
    worst: Annotated[int, Field(ge=0, le=64)] = 4
    """Images kept per level, those with the largest errors."""

    @model_validator(mode="after")
    def _ordered(self) -> Probes:
        if self.sigma_min and self.sigma_max and self.sigma_min >= self.sigma_max:
            raise ValueError(f"expected sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}")
        if self.budget is not None and self.precision is None:
            raise ValueError(f"expected a precision beside the budget of {self.budget}")
        return self

    @property
    def target(self) -> Target | None:
        """When an adaptive pass ends; None where the pass is not adaptive."""
        return None if self.precision is None else Target(self.precision, self.draws, self.budget)


class GuidanceAt(_Strict):
    """How strongly a model with guidance is guided, and at which noise levels."""

    scale: float
    interval: tuple[float, float] = (0.0, math.inf)

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        """A number alone is a scale."""
        return {"scale": given} if isinstance(given, int | float) else given

    @model_validator(mode="after")
    def _possible(self) -> GuidanceAt:
        low, high = self.interval
        if not math.isfinite(self.scale) or not 0 <= low < high:
            raise ValueError(f"expected a finite scale and sigmas 0 <= low < high, got {self.scale}, {self.interval}")
        return self

    @property
    def name(self) -> str:
        """What stands in the `guidance` column: "2", or "2 at 0.3-5"."""
        low, high = self.interval
        everywhere = low == 0 and math.isinf(high)
        return f"{self.scale:g}" + ("" if everywhere else f" at {low:g}-{high:g}")


def _distinct_names(settings: list[GuidanceAt]) -> list[GuidanceAt]:
    _distinct([setting.name for setting in settings])
    return settings


class ProbeAt(_Strict):
    """Settings of a sweep, on every grid and at every guidance."""

    sampler: Sampler
    steps: Count


class Sampling(_Strict):
    """Every model x sampler x step count x grid x guidance makes samples from the same seeds."""

    samplers: Annotated[list[Sampler], Field(min_length=1), AfterValidator(_distinct)]
    steps: Annotated[list[Count], Field(min_length=1), AfterValidator(_distinct)]
    grids: Annotated[list[GridName], Field(min_length=1), AfterValidator(_distinct)] = ["karras"]
    guidance: Annotated[list[GuidanceAt], AfterValidator(_distinct_names)] = []
    """Scales, or {scale = 2.0, interval = [0.3, 5.0]}, at which models with guidance are sampled instead of their own;
    a model without conditioning is sampled as it is."""
    seeds: Seeds = "0-255"
    """Sample ids, first and last; each sample's noise depends on its id and the run's seed alone."""
    thumbnails: Annotated[int, Field(ge=0, le=512)] = 64
    """Samples kept as images, the first ids."""
    probes: Annotated[list[TrajectoryProbeName], AfterValidator(_distinct)] = []
    """Trajectory probes, such as "straightness", of every cell's sampler."""
    probe_at: Annotated[list[ProbeAt], AfterValidator(_distinct)] = []
    """Settings whose steps are looked at, by `probes` and `film`: {sampler = "heun", steps = 10}; by default all."""
    probe_samples: Annotated[int, Field(ge=2)] = 64
    """Samples whose steps the trajectory probes look at, the first ids."""
    film: Annotated[int, Field(ge=0, le=64)] = 0
    """Samples whose state and prediction are kept as images at every step, the first ids."""
    metrics: Annotated[list[MetricName], AfterValidator(_distinct)] = ["frechet_distance"]
    features: FeatureName = "inception"
    """The network whose features the metrics compare."""

    @model_validator(mode="after")
    def _sampled(self) -> Sampling:
        for one in self.probe_at:
            if one.sampler not in self.samplers or one.steps not in self.steps:
                raise ValueError(
                    f"probe_at: expected a setting of the sweep, samplers {', '.join(self.samplers)} and steps "
                    f"{', '.join(map(str, self.steps))}, got {one.sampler} in {one.steps} steps"
                )
        return self

    def looked_at(self, sampler: str, steps: int) -> bool:
        """Whether the steps of a setting are probed and filmed."""
        return not self.probe_at or any((one.sampler, one.steps) == (sampler, steps) for one in self.probe_at)


class Suite(_Strict):
    """A suite file. Unknown keys, names and impossible values are refused with what was expected."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    baseline: str = ""
    """The model the others are compared with; the first one by default."""
    micro_batch: Count = 64
    """Rows per network call. It may change the last bits of a result, so it is part of the run's identity."""
    data: Data
    models: Annotated[list[Model], Field(min_length=1)]
    probes: Probes | None = None
    sampling: Sampling | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        names = [model.name for model in self.models]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"models: expected distinct names, got {', '.join(repeated)} more than once")
        if self.baseline and self.baseline not in names:
            raise ValueError(f"baseline: expected one of {', '.join(names)}, got {self.baseline!r}")
        if self.probes is None and self.sampling is None:
            raise ValueError("expected [probes] or [sampling]: there is nothing to run")
        if self.sampling and self.sampling.metrics and len(seed_range(self.sampling.seeds)) < 2:
            raise ValueError(f"sampling.seeds: metrics need at least two samples, got {self.sampling.seeds!r}")
        return self

    def choose(self, choices: Sequence[str]) -> Suite:
        """The same suite for some of its models, by name, and for others, as NAME=SPEC. Raises ConfigError."""
        own = {model.name: model for model in self.models}
        chosen = []
        for choice in choices:
            name, given, spec = choice.partition("=")
            if not given and name not in own:
                raise ConfigError(f"model: expected NAME=SPEC, or one of {', '.join(own)}, got {choice!r}")
            chosen.append({"name": name, "spec": spec} if given else own[name].model_dump())
        names = [model["name"] for model in chosen]
        kept = {**self.model_dump(by_alias=True), "models": chosen}
        return checked_suite({**kept, "baseline": self.baseline if self.baseline in names else ""}, "--model")

    @property
    def baseline_name(self) -> str:
        return self.baseline or self.models[0].name


def read_suite(path: Path) -> Suite:
    """A suite from its TOML file. Raises ConfigError naming the file, the key, what was expected and what came."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: expected a suite in TOML, got: {error}") from error
    return checked_suite(content, str(path))


def checked_suite(content: dict[str, Any], source: str) -> Suite:
    """A suite from its content; `source` is what an error names. Raises ConfigError as `read_suite` does."""
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {_explained(problem)}" for problem in error.errors())
        raise ConfigError(f"{source}: the suite can't be run:\n{problems}") from error


def _explained(problem: object) -> str:
    assert isinstance(problem, dict)
    place = ".".join(str(part) for part in problem["loc"]) or "suite"
    if problem["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    known = "got" in message or repr(given) in message or not isinstance(given, str | int | float)
    return f"{place}: {message}" + ("" if known else f", got {given!r}")
