"""What is written for machines holds to what is published: JUnit to its XSD, JSON to its schema."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from sigmascope import cli_schema, reports
from sigmascope.cli_schema import Document
from sigmascope.reports import machine
from sigmascope.reports.gate import judge
from sigmascope.reports.junit import junit
from sigmascope.reports.policy import Policy
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.verdicts import Check, Outcome, Verdict

from . import hostile

SCHEMAS = Path(reports.__file__).parent / "schemas"
VERDICT = Verdict(
    Outcome.FAIL,
    (
        Check("m", "denoising_error", "noninferior", Outcome.FAIL, "34% higher", "sigma 0.10–1.0"),
        Check("m", "FID", "ceiling", Outcome.INCOMPARABLE, "not scored"),
        Check("m", "FID", "noninferior", Outcome.INCONCLUSIVE, "more images would settle it"),
        Check("m", "IS", "noninferior", Outcome.PASS, "within 0.1"),
        Check("", "", "", Outcome.INCOMPARABLE, "seed: '0' against '1'"),
    ),
)


@pytest.fixture(scope="module")
def xsd() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMAS / "junit.xsd")


def test_junit_holds_to_its_schema_and_each_outcome_has_its_element(xsd: xmlschema.XMLSchema) -> None:
    text = junit(VERDICT, ("Run a is partial.",), "sigmascope gate a --baseline b")
    xsd.validate(text)
    root = ElementTree.fromstring(text)
    said = [[child.tag for child in case] for case in root.iter("testcase")]
    assert said == [["failure"], ["error"], ["skipped"], ["system-out"], ["error"]]
    suite = root.find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "2", "skipped": "1"}
    assert next(root.iter("testcase")).get("name") == "denoising_error noninferior sigma 0.10–1.0"


def test_the_schema_refuses_what_is_no_junit(xsd: xmlschema.XMLSchema) -> None:
    text = junit(VERDICT)
    for broken in (text.replace('tests="5"', 'tests="five"'), text.replace("failure", "broken"), "<testsuites/>"):
        assert not xsd.is_valid(broken)


def test_json_holds_to_the_published_schema(report: Report) -> None:
    rules = [{"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.01}}]
    verdict = judge(Policy.model_validate({"gate": rules}), report.comparisons)
    schema = json.loads((SCHEMAS / "report.json").read_text())
    for written in (machine.as_json(report), machine.as_json(report, verdict, "sigmascope gate a --baseline b")):
        jsonschema.validate(json.loads(written), schema)
    content = json.loads(machine.as_json(report, verdict))
    assert content["verdict"]["exit_code"] == 1
    assert content["comparisons"][-1]["levels"][3]["ratio"] == report.comparisons[-1].levels["ratio"][3]
    content["verdict"]["outcome"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_hostile_names_hold_to_both_schemas(xsd: xmlschema.XMLSchema) -> None:
    made = assemble([hostile.run(hostile.JOINED)])
    verdict = Verdict(
        Outcome.FAIL, tuple(Check(name, name, name, one, name, name) for one in Outcome for name in hostile.NAMES)
    )
    xsd.validate(junit(verdict, tuple(hostile.NAMES), hostile.JOINED))
    content = json.loads(machine.as_json(made, verdict, hostile.JOINED))
    jsonschema.validate(content, json.loads((SCHEMAS / "report.json").read_text()))
    assert content["models"][0]["model"] == made.tables.labels[0]


def test_a_document_without_the_fields_that_were_added_still_holds(report: Report) -> None:
    """Fields are only added: what version 1 wrote at first is valid for good."""
    content = json.loads(machine.as_json(report))
    schema = json.loads((SCHEMAS / "report.json").read_text())
    for name in ("steps", "film", "model_or_solver", "paths"):
        for model in content["models"]:
            del model[name]
    jsonschema.validate(content, schema)
    for name in ("rankings", "models", "diagnoses", "cheapest"):
        assert content.pop(name)
    jsonschema.validate(content, schema)


@pytest.mark.parametrize("what", list(Document))
def test_every_schema_is_one(what: Document) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(cli_schema.schema_text(what)))


def test_the_published_schema_is_that_of_the_code() -> None:
    """If this fails: sigmascope schema report > reports/schemas/report.json"""
    assert (SCHEMAS / "report.json").read_text() == cli_schema.schema_text(Document.report)
