"""Rankings: planted orders are found, alike models are tied, letters say exactly which pairs differ."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sigmascope.errors import IncomparableError
from sigmascope.evals.store import Store
from sigmascope.reports.compare import compare_levels, find_bands
from sigmascope.reports.ranking import rank_levels, rank_metric, sentence, tie_groups
from sigmascope.reports.report import Report, assemble

from . import synthetic


def test_letters_are_shared_exactly_by_those_that_do_not_differ() -> None:
    """Every graph of 4 models: 64 of them."""
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for chosen in product((False, True), repeat=len(pairs)):
        differ = np.zeros((4, 4), bool)
        for (a, b), one in zip(pairs, chosen, strict=True):
            differ[a, b] = differ[b, a] = one
        letters = tie_groups(differ)
        for (a, b), one in zip(pairs, chosen, strict=True):
            assert bool(set(letters[a]) & set(letters[b])) == (not one)


def test_a_chain_of_ties_is_no_single_tie() -> None:
    differ = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)
    assert tie_groups(differ) == ["a", "ab", "b"]


def test_the_regressed_model_is_last_and_alike_ones_are_tied() -> None:
    models = {"a": "eps", "b": "eps", "regressed": "eps"}
    found = rank_levels(synthetic.evaluations(models=models), list(models))
    assert list(found["model"])[-1] == "regressed"
    assert list(found["group"]) == ["a", "a", "b"]
    assert list(zip(found["best"], found["worst"], strict=True)) == [(1, 2), (1, 2), (3, 3)]
    planted = synthetic.PLANTED ** (synthetic.planted_levels().sum() / len(synthetic.SIGMAS))
    assert found["value"].iloc[-1] == pytest.approx(planted, rel=0.01)
    assert sentence(found).endswith("3. regressed (b)")


def test_models_alike_are_told_apart_in_alpha_of_the_worlds_at_most() -> None:
    """100 worlds of 4 alike models: any pair of 6 differs in at most 5; more than 14 has a probability below 0.0002."""
    models = dict.fromkeys("abcd", "eps")
    wrong = 0
    for seed in range(100):
        found = rank_levels(synthetic.evaluations(32, 1, seed, models), list(models))
        wrong += set(found["group"]) != {"a"}
    assert wrong <= 14


def test_metrics_know_their_direction_and_their_protocols() -> None:
    def row(model: str, value: float, half: float, fingerprint: str = "f") -> dict[str, object]:
        interval = {"value": value, "low": value - half, "high": value + half}
        cell = {"sampler": "euler", "steps": 10, "grid": "karras", "guidance": ""}
        return {"model": model, **cell, "metric": "Inception score", **interval, "fingerprint": fingerprint}

    frame = pd.DataFrame(
        [row("low", 5.0, 0.1), row("high", 9.0, 0.1), row("near", 8.95, 0.1), row("point", 7.0, np.nan)]
    )
    found = rank_metric(frame)
    assert list(found["model"]) == ["high", "near", "point", "low"]
    assert found.set_index("model").loc["low", ["best", "worst"]].tolist() == [3, 4]
    groups = dict(zip(found["model"], found["group"], strict=True))
    assert set(groups["high"]) & set(groups["near"])
    assert not set(groups["high"]) & set(groups["low"])
    with pytest.raises(IncomparableError, match="one fingerprint, got f and g"):
        rank_metric(pd.DataFrame([row("low", 5.0, 0.1), row("high", 9.0, 0.1, "g")]))


def test_models_with_no_image_in_common_are_refused() -> None:
    errors = synthetic.evaluations(models={"a": "eps", "b": "eps"})
    apart = errors[(errors["model"] == "a") == (errors["image"] < 32)]
    with pytest.raises(IncomparableError, match="got 0"):
        rank_levels(apart, ["a", "b"])
    assert find_bands(compare_levels(errors, "a", "b"), "b") == ()


def test_a_report_of_three_models_ranks_them(report: Report) -> None:
    """The synthetic run's four models: the planted one is last by error, and by distance, where it has 0.4 on top."""
    titles = list(report.rankings)
    assert titles[0] == "denoising error, mean of 24 noise levels"
    assert len(titles) == 3
    for ranking in list(report.rankings.values())[:2]:
        assert ranking["model"].iloc[-1] == "digits-regressed"
    assert assemble([synthetic.run({"a": "eps", "b": "eps"})]).rankings == {}


def test_several_candidates_are_compared_with_one_baseline(tmp_path: Path) -> None:
    models = {"a": "eps", "b": "eps", "c": "eps", "regressed": "eps"}
    synthetic.write(synthetic.run(models, "four-00000000"), tmp_path)
    synthetic.write(synthetic.run({"d": "eps"}, "one-00000000"), tmp_path)
    runs = Store(tmp_path).together("four:b", "four:a", "one:d", "four:regressed")
    assert [[model.name for model in run.record.models] for run in runs] == [["b", "a", "regressed"], ["d"]]
    found = assemble(runs)
    assert {(one.baseline, one.candidate) for one in found.comparisons} == {("b", "a"), ("b", "regressed"), ("b", "d")}
    assert found.rankings["denoising error, mean of 24 noise levels"]["model"].iloc[-1] == "regressed"
