"""A sequential gate's report has what a fixed gate's has, but for what only a stored run can show."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject
from sigmascope.evals.sequential import Look, Search, search
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from sigmascope.reports import html, machine, markdown
from sigmascope.reports.anytime import decide_look, margins
from sigmascope.reports.decide import Decision
from sigmascope.reports.policy import Policy, checked_policy
from sigmascope.reports.verdicts import Outcome

from ..evals.probes.proving import GAUSSIAN, SIGMAS, data_of

DATA = data_of(GAUSSIAN, 200)


def policy(**more: object) -> Policy:
    rule = {"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.02}, **more}
    return checked_policy({"schema": 1, "gate": [rule]}, "here")


def decided(by: float, rules: Policy) -> tuple[Look, Decision]:
    def subject(denoiser: Denoiser) -> Subject:
        return Subject(denoiser, DATA, SIGMAS, Noise(0))

    worse = as_denoiser(Gaussian(GAUSSIAN.mean, GAUSSIAN.variances * by))
    both = {"parent": subject(as_denoiser(GAUSSIAN)), "child <b>": subject(worse)}
    *_, last = search(*both.values(), Search(margins(rules, SIGMAS)))
    return last, decide_look(rules, last, both)


@pytest.fixture(scope="module")
def failed() -> tuple[Look, Decision]:
    return decided(1.5, policy())


def test_every_document_is_written_without_a_run(failed: tuple[Look, Decision]) -> None:
    look, found = failed
    assert found.verdict.outcome is Outcome.FAIL
    page = html.page(found.report, found.verdict, "command")
    assert 'id="figure-noise-levels"' in page
    assert "child &lt;b&gt;, parent" in page
    assert f"{look.evaluations:,} network evaluations" in page
    comment = markdown.comment(found.report, found.verdict, "command")
    assert "Regression" in comment
    content = json.loads(machine.as_json(found.report, found.verdict))
    assert [level["images"] for level in content["comparisons"][0]["levels"]] == (~np.isnan(look.candidate)).sum(
        axis=0
    ).tolist()


def test_means_are_those_of_the_images_asked(failed: tuple[Look, Decision]) -> None:
    look, found = failed
    levels = found.report.tables.levels
    for name, errors in (("parent", look.baseline), ("child <b>", look.candidate)):
        rows = levels[levels["model"] == name]
        np.testing.assert_allclose(rows["error"], np.nanmean(errors, axis=0), rtol=1e-12)
        assert rows["level"].tolist() == list(range(len(SIGMAS)))


def test_levels_outside_every_band_are_not_told_of() -> None:
    _, found = decided(1.5, policy(bands=[[float(SIGMAS[1]), float(SIGMAS[2])]]))
    assert sorted(set(found.report.tables.levels["level"])) == [1, 2]
    np.testing.assert_allclose(sorted(set(found.report.tables.levels["sigma"])), SIGMAS[1:3].numpy())
    assert html.page(found.report, found.verdict)
