"""`sigmascope gate --sequential`: both models on the same images, a batch at a time, until the verdict is settled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_models import Named, named_model
from .errors import ConfigError, IncomparableError
from .terminal import err

if TYPE_CHECKING:
    from .evals.sequential import Look
    from .evals.suite import Suite
    from .reports.decide import Decision
    from .reports.policy import Policy


SequentialOption = Annotated[
    bool,
    typer.Option("--sequential", help="Ask both models, SUITE.toml:MODEL or as SPEC, until the verdict is settled."),
]
DataOption = Annotated[str, typer.Option(help="Of --sequential: held-out images; else those of the models' suite.")]
BudgetOption = Annotated[
    int | None, typer.Option(min=1, help="Of --sequential: network evaluations, at most.", show_default=False)
]
LimitOption = Annotated[int | None, typer.Option(min=2, help="Of --sequential: images, at most.", show_default=False)]


@dataclass(frozen=True)
class Asked:
    """What the command line says of a sequential gate beside the two models and the policy."""

    data: str = ""
    limit: int | None = None
    budget: int | None = None
    """Goes before the policy's."""
    device: str = "cpu"
    trust_pickle: bool = False

    def refuse_unless_sequential(self) -> None:
        """Raises ConfigError where something is said that stored runs have no use for."""
        if self != Asked():
            given = ", ".join(
                f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value != getattr(Asked, name)
            )
            raise ConfigError(f"gate: expected --sequential beside {given}")


def decide_sequentially(candidate: str, baseline: str, policy: Policy, runs: Path, asked: Asked) -> Decision:
    """Ask both models until the policy's verdict is settled, and no longer than the budget lasts.

    Models are named as everywhere: SCHEME:LOCATION, SUITE.toml:MODEL or RUN:MODEL; data, levels, draws and seed are
    those of the baseline's suite or run, or else the defaults of a suite.
    Raises IncomparableError for two sets of data, ConfigError for what can't be judged this way.
    """
    from .evals.planning import prepare
    from .evals.sequential import Search, search
    from .reports.anytime import decide_look, margins

    first, second = (named_model(text, [], Path(), runs) for text in (baseline, candidate))
    suite = _suite(first, second, _settings(baseline, runs), asked)
    with err.status("Loading models and data"):
        plan = prepare(suite, first.folder, device=asked.device, limit=asked.limit, trust_pickle=asked.trust_pickle)
    names = [model.name for model in suite.models]
    assert suite.probes is not None
    how = Search(
        margins(policy, plan.sigmas), suite.probes.draws, asked.budget or policy.budget, policy.settings().confidence
    )
    last = None
    ours, theirs = (plan.subjects[name] for name in names)
    whole = how.prices(ours, theirs).sum() * len(plan.data.images)
    for number, look in enumerate(search(ours, theirs, how), 1):
        last = look
        _tell(number, look, whole)
    assert last is not None
    return decide_look(policy, last, dict(zip(names, (ours, theirs), strict=True)))


def _tell(number: int, look: Look, whole: float) -> None:
    """whole: evaluations of all images at all levels."""
    passed, failed = look.settled.passed, look.settled.failed
    err.print(
        f"look {number}: {look.evaluations:,} evaluations ({look.evaluations / whole:.0%} of all), {passed.sum()} of "
        f"{len(passed)} levels passed, {failed.sum()} failed",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def _settings(text: str, runs: Path) -> dict[str, Any]:
    """The suite a model is named in, as a run has it or a file; empty for a spec."""
    from .evals.loading import known_loaders
    from .evals.store import Store
    from .evals.suite import read_suite

    file, suffix, _ = text.partition(".toml:")
    if suffix:
        return read_suite(Path(f"{file}.toml")).model_dump(by_alias=True)
    return {} if text.partition(":")[0] in known_loaders() else dict(Store(runs).find(text).record.suite)


def _suite(first: Named, second: Named, settings: dict[str, Any], asked: Asked) -> Suite:
    """The suite that probes the two models alike. Raises ConfigError without data, IncomparableError for two sets."""
    from .evals.suite import checked_suite

    sources = [_placed(named.place.data, named.place.folder) for named in (first, second) if named.place.data]
    if not asked.data and len(set(sources)) > 1:
        raise IncomparableError(
            f"data: expected the same for both, got {sources[0]!r} against {sources[1]!r}; name one"
        )
    source = _placed(asked.data, Path()) if asked.data else next(iter(sources), "")
    if not source:
        raise ConfigError(
            "gate --sequential: expected --data with held-out images, or models of a suite that names them"
        )
    probes = settings.get("probes") or {}
    kept = {name: probes[name] for name in ("levels", "sigma_min", "sigma_max") if probes.get(name) is not None}
    draws = 1 if probes.get("precision") else probes.get("draws", 1)
    limit = (settings.get("data") or {}).get("limit") if not asked.data else None
    same = first.model.name == second.model.name
    other = second.model.model_copy(update={"name": f"{second.model.name} (candidate)"}) if same else second.model
    content = {
        "schema": 1,
        "name": "gate",
        "seed": settings.get("seed", 0),
        "data": {"source": source, "limit": limit},
        "models": [_dumped(first.model, first.folder, first), _dumped(other, second.folder, first)],
        "probes": {**kept, "draws": draws, "worst": 0},
    }
    if "micro_batch" in settings:
        content["micro_batch"] = settings["micro_batch"]
    return checked_suite(content, "gate --sequential")


def _dumped(model: Any, folder: Path, first: Named) -> dict[str, Any]:
    """A model's fields; relative to its own folder where that is not the one the suite is prepared in."""
    values: dict[str, Any] = model.model_dump()
    if folder.resolve() != first.folder.resolve():
        scheme, _, location = model.spec.partition(":")
        values["spec"] = f"{scheme}:{_placed(location, folder)}"
    return values


def _placed(source: str, folder: Path) -> str:
    """A path made absolute, where it is one, a function's file among them; a module's name stays."""
    scheme, python, location = source.rpartition("python:") if source.startswith("python:") else ("", "", source)
    file, colon, rest = location.partition(":")
    found = folder / file
    there = file and (found.is_file() if python else found.exists())
    return f"{scheme}{python}{found.resolve()}{colon}{rest}" if there else source
