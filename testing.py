"""The gate inside a test suite: `assert_not_worse`, as a function and as a pytest fixture.

    def test_the_model_is_not_worse(assert_not_worse):
        assert_not_worse("latest:ema", "baselines/main.json", "gate.toml")

Installed with sigmascope, pytest finds the fixture by itself. Its folder of runs and what an inconclusive verdict means
are settings of pytest's configuration: `sigmascope_runs` and `sigmascope_inconclusive`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

if TYPE_CHECKING:
    from .evals.store import Run, Store
    from .reports.decide import Decision
    from .reports.policy import Policy

Inconclusive = Literal["fail", "skip", "xfail", "pass"]


def assert_not_worse(
    candidate: str | Path | Run,
    baseline: str | Path | Run,
    policy: str | Path | Mapping[str, Any] | Policy,
    runs: str | Path = "runs",
    inconclusive: Inconclusive = "fail",
) -> Decision:
    """Judge a candidate as `sigmascope gate` does, and return the decision where it passes.

    candidate, baseline: RUN or RUN:MODEL in the folder `runs`, a run's path, or a run; the baseline also a baseline
    file. policy: a TOML file, its content, or a policy. inconclusive: what becomes of a test whose verdict is open.

    Raises AssertionError with every check that did not pass; IncomparableError where no comparison can be made;
    ConfigError for what isn't a run, a model or a policy.
    """
    __tracebackhide__ = True
    from .errors import ConfigError, IncomparableError
    from .evals.store import Store
    from .reports.decide import decide
    from .reports.verdicts import Outcome

    if inconclusive not in get_args(Inconclusive):
        raise ConfigError(f"inconclusive: expected one of {', '.join(get_args(Inconclusive))}, got {inconclusive!r}")
    decision = decide(_pair(Store(runs), baseline, candidate), _policy(policy))
    outcome, said = decision.verdict.outcome, _said(decision)
    if outcome is Outcome.INCOMPARABLE:
        raise IncomparableError(said)
    if outcome is Outcome.FAIL or (outcome is Outcome.INCONCLUSIVE and inconclusive == "fail"):
        raise AssertionError(said)
    if outcome is Outcome.INCONCLUSIVE and inconclusive == "skip":
        pytest.skip(said)
    if outcome is Outcome.INCONCLUSIVE and inconclusive == "xfail":
        pytest.xfail(said)
    return decision


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("sigmascope_runs", "folder of runs of the fixture assert_not_worse", default="runs")
    parser.addini(
        "sigmascope_inconclusive", "what an inconclusive verdict is: fail, skip, xfail or pass", default="fail"
    )


@pytest.fixture(name="assert_not_worse")
def _assert_not_worse(pytestconfig: pytest.Config) -> Callable[..., Decision]:
    """`sigmascope.testing.assert_not_worse` with the settings of pytest's configuration."""

    def judged(
        candidate: str | Path | Run,
        baseline: str | Path | Run,
        policy: str | Path | Mapping[str, Any] | Policy,
        runs: str | Path | None = None,
        inconclusive: Inconclusive | None = None,
    ) -> Decision:
        __tracebackhide__ = True
        folder = pytestconfig.rootpath / pytestconfig.getini("sigmascope_runs") if runs is None else runs
        chosen = inconclusive or pytestconfig.getini("sigmascope_inconclusive")
        return assert_not_worse(candidate, baseline, policy, folder, chosen)

    return judged


def _pair(store: Store, baseline: str | Path | Run, candidate: str | Path | Run) -> list[Run]:
    from .evals.store import Run
    from .reports.baseline import gate_pair

    if isinstance(candidate, Run):
        if isinstance(baseline, Run):
            return [baseline, candidate]
        candidate = f"{candidate.folder}:{candidate.record.baseline}"
    if isinstance(baseline, Run):
        baseline = f"{baseline.folder}:{baseline.record.baseline}"
    return gate_pair(store, str(baseline), str(candidate))


def _policy(policy: str | Path | Mapping[str, Any] | Policy) -> Policy:
    from .reports.policy import Policy, checked_policy, read_policy

    if isinstance(policy, Policy):
        return policy
    return checked_policy(dict(policy), "policy") if isinstance(policy, Mapping) else read_policy(Path(policy))


def _said(decision: Decision) -> str:
    """The verdict in a line, then every check that did not pass in its own."""
    from .reports.markdown import headline
    from .reports.text import plain
    from .reports.verdicts import Outcome

    checks = [
        f"  {check.outcome.value:>12}  {plain(f'{check.model} {check.metric} {check.rule}: {check.evidence}')}"
        for check in decision.verdict.checks
        if check.outcome is not Outcome.PASS
    ]
    return "\n".join([headline(decision.verdict), *checks])
