"""The verdict as JUnit XML, which every CI system lists: one test case for each check.

pass: a case alone; fail: <failure>; inconclusive: <skipped>; incomparable: <error>. schemas/junit.xsd describes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from .text import plain
from .verdicts import Outcome, Verdict

ELEMENTS = {Outcome.FAIL: "failure", Outcome.INCONCLUSIVE: "skipped", Outcome.INCOMPARABLE: "error"}


def junit(verdict: Verdict, conditions: Sequence[str] = (), command: str = "") -> str:
    """Verdict -> XML. `conditions` (what a reader must know first) and the command go to the suite's output."""
    counts = Counter(check.outcome for check in verdict.checks)
    totals = {
        "tests": str(len(verdict.checks)),
        "failures": str(counts[Outcome.FAIL]),
        "errors": str(counts[Outcome.INCOMPARABLE]),
        "skipped": str(counts[Outcome.INCONCLUSIVE]),
    }
    root = xml.Element("testsuites", {"name": "sigmascope", **totals})
    suite = xml.SubElement(root, "testsuite", {"name": "sigmascope gate", **totals})
    properties = xml.SubElement(suite, "properties")
    for name, value in (("verdict", verdict.outcome.value), ("exit_code", verdict.exit_code), ("command", command)):
        xml.SubElement(properties, "property", {"name": name, "value": plain(value)})
    for check in verdict.checks:
        names = {
            "classname": plain(check.model) or "sigmascope",
            "name": plain(f"{check.metric} {check.rule} {check.where}") or "gate",
        }
        case = xml.SubElement(suite, "testcase", names)
        evidence = plain(check.evidence)
        if check.outcome in ELEMENTS:
            said = xml.SubElement(case, ELEMENTS[check.outcome], {"message": evidence})
            said.text = evidence if check.outcome is not Outcome.INCONCLUSIVE else None
        else:
            xml.SubElement(case, "system-out").text = evidence
    xml.SubElement(suite, "system-out").text = "\n".join(plain(condition) for condition in conditions)
    xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml.tostring(root, encoding="unicode")}\n'
