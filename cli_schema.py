"""`sigmascope schema`: the JSON Schema of a file that people write or programs read."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


class Document(StrEnum):
    report = "report"
    baseline = "baseline"
    policy = "policy"
    suite = "suite"


def schema(what: Annotated[Document, typer.Argument(help="Of which file.", show_default=False)]) -> None:
    """Print the JSON Schema of a report, a baseline, a policy or a suite; editors complete TOML by the last two."""
    print(schema_text(what), end="")  # noqa: T201


def schema_text(what: Document) -> str:
    import json

    return json.dumps(_model(what).model_json_schema(), indent=1) + "\n"


def _model(what: Document) -> type[BaseModel]:
    """Each is loaded by itself: a suite's brings every sampler and loader along."""
    if what is Document.report:
        from .reports.document import ReportDocument

        return ReportDocument
    if what is Document.baseline:
        from .reports.baseline import Baseline

        return Baseline
    if what is Document.policy:
        from .reports.policy import Policy

        return Policy
    from .evals.suite import Suite

    return Suite
