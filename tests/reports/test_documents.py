"""Sentences, numbers, HTML and Markdown: what is said, that names stay text, that nothing is fetched."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from sigmascope.evals.records import CellRecord
from sigmascope.reports import html, markdown
from sigmascope.reports.findings import Finding, conditions
from sigmascope.reports.gate import judge
from sigmascope.reports.numbers import interval, number, percent, reach, sigma_range, signed
from sigmascope.reports.policy import Policy
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.verdicts import Check, Outcome, Verdict

from . import hostile as hostile_names
from . import synthetic

HOSTILE = "<script>alert(1)</script>|[x](javascript:alert(2))`*@all*\n# %{x}</script><img src=x onerror=alert(3)>"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.3, "0.300"), (12.345, "12.3"), (1234.5, "1,234"), (123.4, "123"), (-0.5, "−0.500"), (0.0, "0"),
        (1.23e-5, "1.23e−5"), (math.nan, "not scored"), (None, "not scored"), (math.inf, "∞"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("ratio", "written"),
    [
        (1.34, "+34%"),
        (0.996, "−0.4%"),
        (1.0, "0.0%"),
        (0.5, "−50%"),
        (3.2, "×3.2"),
        (1.0999, "+10%"),
        (math.nan, "not scored"),
    ],
)
def test_percents(ratio: float, written: str) -> None:
    assert percent(ratio) == written


def test_ranges() -> None:
    assert sigma_range(0.3, 1.1) == "0.30–1.1"
    assert sigma_range(0.3, 0.3) == "0.30"
    assert interval(1.0, math.nan) == ""
    assert interval(1.2, 1.4) == "[1.20, 1.40]"
    assert signed(0.5) == "+0.500"
    assert reach(None, math.nan) == "0–∞"
    assert reach(0.002, 80.0) == "0.0020–80"


def test_the_worst_finding_comes_first_and_in_plain_words(report: Report) -> None:
    pattern = r"digits-regressed: denoising error 34% \[3\d, 3\d\] higher than digits-eps at sigma 0\.28–1\.1"
    assert re.fullmatch(pattern, report.findings[0].text)
    kinds = [finding.kind for finding in report.findings]
    assert kinds == sorted(kinds, key=["worse", "incomparable", "unclear", "same", "better"].index)


def test_partial_and_failed_runs_say_so() -> None:
    run = synthetic.run({"m": "eps"})
    broken = CellRecord(
        key="k", kind="sample", title="heun, 5 steps", model="m", seconds=0, evaluations=0, error="out of memory"
    )
    run.record = run.record.model_copy(update={"status": "partial", "cells": [broken]})
    first, second = conditions([run])
    assert "is partial" in first
    assert "heun, 5 steps (m) failed: out of memory" in second


class Tags(HTMLParser):
    """Collects every tag with its attributes, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile() -> synthetic.SyntheticRun:
    return synthetic.run({"sound": "eps", HOSTILE + "regressed": "v"})


@pytest.fixture(scope="module")
def page(run: synthetic.SyntheticRun) -> str:
    return html.page(assemble([run]))


def test_the_page_fetches_nothing_and_holds_one_plotly(page: str) -> None:
    parser = Tags()
    parser.feed(page)
    fetched = [value for _, attributes in parser.tags for name in ("src", "href") if (value := attributes.get(name))]
    assert fetched
    assert all(value.startswith(("#", "data:")) for value in fetched)
    assert not re.search(r"@import|url\(\s*['\"]?http", page.split("<script>")[0])
    assert page.count("Plotly.newPlot(") - page.count('"Plotly.newPlot(') >= 7
    assert sum(len(script) > 1_000_000 for script in page.split("<script>")) == 1


def test_contents_lead_to_their_sections(page: str) -> None:
    parser = Tags()
    parser.feed(page)
    targets = {attributes["href"] for tag, attributes in parser.tags if tag == "a"}
    anchors = {f"#{attributes['id']}" for _, attributes in parser.tags if "id" in attributes}
    assert targets <= anchors
    shown = {"findings", "ranking", "tables", "protocol", "overview", "noise-levels", "images", "diagnosis", "slices"}
    assert targets == {f"#{name}" for name in (*shown, "samplers", "parameterizations", "probes", "samples")}


def test_hostile_names_are_text_in_html(hostile: synthetic.SyntheticRun) -> None:
    page = html.page(assemble([hostile]))
    parser = Tags()
    parser.feed(page)
    plain = html.page(assemble([synthetic.run({"sound": "eps", "regressed": "v"})]))
    expected = Tags()
    expected.feed(plain)
    count = [tag for tag, _ in parser.tags if tag in ("script", "img", "a")]
    assert count == [tag for tag, _ in expected.tags if tag in ("script", "img", "a")]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_of_one_model_without_samples() -> None:
    run = synthetic.run({"alone": "eps"})
    run.tables = {"levels": run.tables["levels"], "evaluations": run.tables["evaluations"]}
    page = html.page(assemble([run]))
    assert "There is no second model to compare alone with." in page


def test_hostile_names_are_text_in_markdown(hostile: synthetic.SyntheticRun) -> None:
    comment = markdown.comment(assemble([hostile]), command=HOSTILE)
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(comment)
    parser = Tags()
    parser.feed(rendered)
    tags = {tag for tag, _ in parser.tags}
    assert not tags & {"script", "img", "a", "em"}
    assert not re.search(r"@(?!​)\w", re.sub(r"<code>.*?</code>", "", rendered))


@pytest.mark.parametrize("name", ["plain", "`", "``a", "a`b``c", " ", "a|b", "a\n\n# b"])
def test_a_code_span_holds_anything(name: str) -> None:
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(f"| h |\n|---|\n| {markdown.code(name)} |")
    assert rendered.count("<td>") == 1
    assert rendered.count("<code>") == 1


def test_a_comment_has_verdict_bands_and_sparkline(report: Report) -> None:
    rule = {"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.01}}
    verdict = judge(Policy.model_validate({"gate": [rule]}), report.comparisons)
    comment = markdown.comment(report, verdict, "sigmascope compare a b")
    assert comment.startswith(markdown.MARKER)
    assert "> [!CAUTION]" in comment
    assert "| 0.28–1.1 | +34% |" in comment
    assert "█" in comment
    assert len(comment) < 65_536


def test_a_long_comment_is_cut_and_says_so(report: Report) -> None:
    text = markdown._fitting(["a" * 40_000, "b" * 40_000], 60_000)
    assert "b" not in text.split("\n\n")[0]
    assert "does not fit" in text


def wide(report: Report, metrics: int = 200) -> Report:
    """The report with so many metrics at all its sampler settings, the last of which lost most."""
    comparison = report.comparisons[-1]
    one = comparison.metrics[comparison.metrics["metric"] == "class agreement"]
    many = pd.concat([one.assign(metric=f"metric {index:03d}") for index in range(metrics)], ignore_index=True)
    worst = many["metric"] == f"metric {metrics - 1:03d}"
    for column in ("difference", "low", "high"):
        many.loc[worst, column] -= 1.0
    return replace(report, comparisons=(replace(comparison, metrics=many),))


def test_a_comment_of_200_metrics_at_24_levels_fits_and_keeps_what_matters(report: Report) -> None:
    outcomes = [*[Outcome.PASS] * 4700, Outcome.FAIL, *[Outcome.INCONCLUSIVE] * 99]
    evidence = "12.3 against 12.1, difference +0.2 [−0.1, 0.5] at a margin of 0.6 (unpaired)"
    checks = tuple(Check("m", f"metric {i}", "noninferior", one, evidence) for i, one in enumerate(outcomes))
    many = wide(report)
    assert len(many.comparisons[0].levels) == 24
    comment = markdown.comment(many, Verdict(Outcome.FAIL, checks), "sigmascope gate a --baseline b")
    assert len(comment.encode()) <= markdown.LIMIT
    first, *others = [line for line in comment.splitlines() if line.startswith("| `m` |")]
    assert "| fail |" in first
    assert all("| inconclusive |" in line for line in others[:99])
    (left,) = re.findall(r"^([\d,]+) more rows do not fit", comment, flags=re.MULTILINE)[:1]
    assert int(left.replace(",", "")) == len(checks) - 1 - len(others)
    assert comment.rstrip().endswith("Reproduce: `sigmascope gate a --baseline b`")
    summary = markdown.comment(many, Verdict(Outcome.FAIL, checks), limit=1_000_000)
    assert summary.count("| `m` |") == len(checks)
    metrics = [line for line in summary.splitlines() if line.startswith("| `metric ")]
    assert all("metric 199" in line for line in metrics[:16])


def test_a_comment_of_200_hostile_metrics_and_rankings_fits(report: Report) -> None:
    """Names cost the most where every character must be escaped."""
    names = [f"{hostile_names.NAMES[index % len(hostile_names.NAMES)]} {index}" for index in range(200)]
    many = wide(report)
    comparison = many.comparisons[0]
    bad = {f"metric {index:03d}": name for index, name in enumerate(names)}
    renamed = replace(comparison, candidate=names[5], metrics=comparison.metrics.replace({"metric": bad}))
    many = replace(many, comparisons=(renamed,), conditions=tuple(names[:18]))
    ranking = next(iter(report.rankings.values()))
    rankings = {name: ranking.assign(model=name) for name in names}
    many.__dict__.update(rankings=rankings, findings=tuple(Finding("worse", name) for name in names))
    checks = tuple(Check(name, name, "noninferior", Outcome.FAIL, name, name) for name in names for _ in range(24))
    for verdict in (None, Verdict(Outcome.FAIL, checks)):
        comment = markdown.comment(many, verdict, command=hostile_names.JOINED)
        assert len(comment.encode()) <= markdown.LIMIT < 65_536
        parser = Tags()
        parser.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(comment))
        assert not {tag for tag, _ in parser.tags} & {"script", "img", "a", "em", "svg", "style", "h1"}
        assert "more rows do not fit" in comment


def test_a_comment_without_a_verdict_begins_with_the_worst_finding(report: Report) -> None:
    lines = markdown.comment(report).splitlines()
    assert lines[4].startswith("**worse**: digits-regressed: denoising error 34%")
    heads = [line for line in lines if line.startswith("### `")]
    assert heads[0] == "### `digits-regressed` against `digits-eps`"


def test_a_comment_tells_what_differs_between_the_environments(report: Report) -> None:
    assert "| differs |" not in markdown.comment(report)
    two = [synthetic.run({"m": "eps"}, f"digits-{name}") for name in "ab"]
    two[1].record = two[1].record.model_copy(update={"environment": {"torch": "9.9", "device": "cpu"}})
    comment = markdown.comment(assemble(two))
    assert "| `torch` | `2.13.0` | `9.9` |" in comment
    assert "| `device` |" not in comment


def test_sparklines() -> None:
    assert markdown.sparkline([0.0, 1.0, math.nan, 0.5]) == "▁█·▅"
    assert markdown.sparkline([0.0, 0.0]) == "▁▁"
    assert markdown.sparkline([math.nan]) == "·"
