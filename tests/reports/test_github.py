"""What a GitHub job is told: annotations by its rules, a summary and outputs in its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.errors import ConfigError, StoreError
from sigmascope.reports import github
from sigmascope.reports.report import Report
from sigmascope.reports.verdicts import Check, Outcome, Verdict


def checks(*outcomes: Outcome) -> tuple[Check, ...]:
    return tuple(Check("m", f"metric {i}", "ceiling", one, "100%, it seems") for i, one in enumerate(outcomes))


def test_failures_are_errors_before_open_checks_as_warnings() -> None:
    verdict = Verdict(Outcome.FAIL, checks(Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.INCOMPARABLE))
    assert github.annotate(verdict) == [
        "::error title=m metric 2 ceiling fail::100%25, it seems",
        "::warning title=m metric 3 ceiling incomparable::100%25, it seems",
        "::warning title=m metric 1 ceiling inconclusive::100%25, it seems",
    ]


def test_colons_and_commas_of_a_name_end_no_title() -> None:
    verdict = Verdict(Outcome.FAIL, (Check("a::b,c", "FID", "ceiling", Outcome.FAIL, "a::b,c"),))
    assert github.annotate(verdict) == ["::error title=a%3A%3Ab%2Cc FID ceiling fail::a::b,c"]


def test_ten_annotations_at_most_and_the_last_counts_the_rest() -> None:
    assert len(github.annotate(Verdict(Outcome.FAIL, checks(*[Outcome.FAIL] * 10)))) == 10
    lines = github.annotate(Verdict(Outcome.FAIL, checks(*[Outcome.FAIL] * 200)))
    assert len(lines) == 10
    assert lines[-1] == "::warning title=Sigmascope::191 more checks did not pass; the job summary lists them"


def test_summary_and_outputs_are_appended(report: Report, tmp_path: Path) -> None:
    places = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    (tmp_path / "output").write_text("before=1\n")
    assert github.publish(report, Verdict(Outcome.PASS, checks(Outcome.PASS)), "again", places) == []
    assert (tmp_path / "output").read_text().splitlines() == [
        "before=1", "verdict=pass", "exit_code=0", "headline=No regression: 1 of 1 checks passed",
    ]  # fmt: skip
    assert "> [!TIP]" in (tmp_path / "summary").read_text()


def test_outside_a_job_nothing_is_published(report: Report, tmp_path: Path) -> None:
    verdict = Verdict(Outcome.PASS, checks(Outcome.PASS))
    with pytest.raises(ConfigError, match="expected to run in a GitHub Actions job"):
        github.publish(report, verdict, "", {})
    with pytest.raises(StoreError, match="can't be written"):
        github.publish(report, verdict, "", {"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "summary")})
