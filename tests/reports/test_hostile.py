"""Names that hold HTML, Markdown, commands or control characters appear as text in every output."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sigmascope import terminal
from sigmascope.reports import github, html, machine, markdown
from sigmascope.reports.compare import Incomparable
from sigmascope.reports.findings import Finding
from sigmascope.reports.gate import judge
from sigmascope.reports.junit import junit
from sigmascope.reports.policy import Policy
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.text import plain
from sigmascope.reports.verdicts import Check, Outcome, Verdict

from . import hostile
from .test_documents import Tags

RULES = [{"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.01}}]
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile_report() -> Report:
    """All names at once, through everything that a run passes on its way."""
    return assemble([hostile.run(hostile.JOINED)])


@pytest.fixture(scope="module", params=range(len(hostile.NAMES)))
def judged(request: pytest.FixtureRequest, report: Report) -> tuple[str, Report, Verdict]:
    """One hostile name wherever a report or a check holds a name or words."""
    name = hostile.NAMES[request.param]
    one = report.comparisons[-1]
    metrics = one.metrics.head(4).assign(metric=name, sampler=name, reason=name)
    comparisons = (replace(one, baseline=name, candidate=name, metrics=metrics),)
    named = replace(
        report, comparisons=comparisons, conditions=(name,), refused=(Incomparable(name, name, name),)
    )  # fmt: skip
    ranking = next(iter(report.rankings.values())).assign(model=name)
    named.__dict__.update(findings=(Finding("worse", name),), rankings={name: ranking})
    return name, named, Verdict(Outcome.FAIL, tuple(Check(name, name, name, one, name, name) for one in Outcome))


def test_markdown(judged: tuple[str, Report, Verdict]) -> None:
    name, report, verdict = judged
    comment = markdown.comment(report, verdict, command=name)
    assert comment.startswith(markdown.MARKER)
    assert len(comment.encode()) < 65_536
    assert not CONTROL.search(comment)
    rendered = MARKDOWN.render(comment)
    assert rendered.count(markdown.MARKER) == 1
    parser = Tags()
    parser.feed(rendered)
    ours = {"h2", "h3", "p", "blockquote", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert {tag for tag, _ in parser.tags} <= ours | {"details", "summary", "br"}
    rows = [row.count("<td>") for row in rendered.split("<tr>") if "<td>" in row]
    assert set(rows) <= {2, 3, 5, 7}
    prose = re.sub(r"<code>.*?</code>", "", rendered, flags=re.DOTALL)
    assert not re.search(r"@\w|#\d|https?://\w|www\.\w|GH-\d", prose)


def test_html(hostile_report: Report) -> None:
    forged = Verdict(Outcome.FAIL, tuple(Check(name, name, name, Outcome.FAIL, name, name) for name in hostile.NAMES))
    parser = Tags()
    parser.feed(html.page(hostile_report, forged, command=hostile.JOINED))
    assert not any(tag in ("img", "svg", "iframe", "object") for tag, _ in parser.tags)
    assert not any(attribute.startswith("on") for _, attributes in parser.tags for attribute in attributes)
    links = [attributes.get("href") or "" for tag, attributes in parser.tags if tag in ("a", "link")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert sum(tag == "script" for tag, _ in parser.tags) == 2 + sum(
        "plotly-graph-div" in (attributes.get("class") or "") for _, attributes in parser.tags
    )


def test_a_run_with_hostile_names_goes_through_every_output(hostile_report: Report) -> None:
    verdict = judge(Policy.model_validate({"gate": RULES}), hostile_report.comparisons)
    assert verdict.outcome is Outcome.FAIL
    assert MARKDOWN.render(markdown.comment(hostile_report, verdict)).count("<script") == 0
    assert ElementTree.fromstring(junit(verdict)).get("failures") == "1"
    assert json.loads(machine.as_json(hostile_report, verdict))["verdict"]["outcome"] == "fail"


def test_junit(judged: tuple[str, Report, Verdict]) -> None:
    name, report, verdict = judged
    root = ElementTree.fromstring(junit(verdict, report.conditions, command=name))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(verdict.checks)
    assert cases[-1].get("classname") == plain(name)
    assert not any(CONTROL.search(text) for case in cases for text in case.attrib.values())


def test_json(judged: tuple[str, Report, Verdict]) -> None:
    name, report, verdict = judged
    written = json.loads(machine.as_json(report, verdict, command=name).encode("utf-8", "replace"))
    assert len(written["verdict"]["checks"]) == len(verdict.checks)


def test_annotations(judged: tuple[str, Report, Verdict]) -> None:
    _, _, verdict = judged
    lines = github.annotate(verdict)
    assert 3 <= len(lines) <= github.ANNOTATIONS
    for line in lines:
        assert re.fullmatch(r"::(error|warning) title=[^:,]*::.*", line)
        assert not re.search("[\r\n]", line)
        assert not CONTROL.search(line)


def test_job_summary_and_outputs(judged: tuple[str, Report, Verdict], tmp_path: Path) -> None:
    name, report, verdict = judged
    places = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "output")}
    github.publish(report, verdict, name, places)
    outputs = (tmp_path / "output").read_text().splitlines()
    assert [line.partition("=")[0] for line in outputs] == ["verdict", "exit_code", "headline"]
    assert (tmp_path / "summary").stat().st_size < github.SUMMARY_LIMIT


def test_terminal(judged: tuple[str, Report, Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    _, report, verdict = judged
    console = Console(record=True, force_terminal=False, width=200)
    monkeypatch.setattr(terminal, "out", console)
    with console.capture() as capture:
        terminal.print_report(report)
        terminal.print_verdict(verdict)
    shown = capture.get()
    assert not CONTROL.search(shown)
    lines = shown.splitlines()
    told = (report.conditions, report.findings, report.rankings, verdict.checks)
    assert len(lines) == sum(map(len, told)) + 1
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)


def test_nothing_that_is_printed_controls_a_terminal() -> None:
    """Tables, errors and progress too, whoever prints them; styles still do."""
    console = terminal.Terminal(force_terminal=True, width=200, color_system="standard")
    table = Table("name")
    table.add_row(escape("\x1b]8;;http://evil.example\x07link\x9b2J"))
    with console.capture() as capture:
        console.print(table)
        console.print(f"[bold]error:[/] {escape(chr(27) + '[31mred')}")
    styles = re.compile("\x1b\\[[01]m")
    shown = styles.sub("", capture.get())
    assert styles.search(capture.get())
    assert not CONTROL.search(shown)
    assert "␛[31mred" in shown
    assert "␛]8;;http://evil.example" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as it is: é, 漢字, 🎉", "as it is: é, 漢字, 🎉"),
        ("a\n\t b\u2028c", "a b c"),
        ("\x1b[31m\x07\x00", "␛[31m␇␀"),
        ("\x7f\x9b", "␡\ufffd"),
        ("\u202ea\u2066\ud800\ufffe", "a"),
        (3, "3"),
    ],
)
def test_plain(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_plain_keeps_within_its_limit() -> None:
    assert plain("abcdef", 6) == "abcdef"
    assert plain("abcdefg", 6) == "abcde…"
