"""What `sigmascope metrics` leaves in a file: its numbers and every choice behind them, enough to make them again.

Evaluation -> Result -> write_result; read_result -> explain_results.py, which says why two of them differ.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .evaluate import SetFacts
from .protocols import Protocol, Subsets
from .scores import Score


@dataclass(frozen=True)
class NetworkFacts:
    """A feature network: its protocol in words, fingerprint, SHA-256 of its weights, their file where it was named."""

    protocol: str
    fingerprint: str
    weights: str
    file: str = ""


@dataclass(frozen=True)
class Result:
    """metrics: the names asked for. networks by name. prompts: their file. Sources are as they were named."""

    protocol: Protocol
    metrics: tuple[str, ...]
    generated: SetFacts
    reference: SetFacts | None
    networks: dict[str, NetworkFacts]
    scores: tuple[Score, ...]
    repeat_grey: bool = False
    prompts: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = math.nan

    def as_json(self) -> dict[str, Any]:
        content = asdict(self)
        return {"schema": 1, **content, "protocol": self.protocol.name, "choices": self.protocol.choices}


def finite(content: Any) -> Any:
    """The same with null for missing and infinite numbers: JSON has neither."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_result(path: Path, result: Result) -> None:
    path.write_text(json.dumps(finite(result.as_json()), indent=1) + "\n", encoding="utf-8")


def read_result(path: Path) -> Result:
    """Raises ConfigError for what `sigmascope metrics` didn't write."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _parsed(content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path}: expected a result of `sigmascope metrics --output`, got: {what}") from error


def _parsed(content: dict[str, Any]) -> Result:
    if content["schema"] != 1:
        raise ValueError(f"schema {content['schema']}, which this version doesn't know")
    choices = dict(content["choices"])
    kid = choices.pop("kid")
    reference = content["reference"]
    return Result(
        Protocol(content["protocol"], kid=None if kid is None else Subsets(**kid), **choices),
        tuple(content["metrics"]),
        SetFacts(**content["generated"]),
        None if reference is None else SetFacts(**reference),
        {name: NetworkFacts(**facts) for name, facts in content["networks"].items()},
        tuple(_score(row) for row in content["scores"]),
        bool(content["repeat_grey"]),
        str(content["prompts"]),
        tuple(content["warnings"]),
        math.nan if content["seconds"] is None else float(content["seconds"]),
    )


def _score(row: dict[str, Any]) -> Score:
    numbers = {name: math.nan if row[name] is None else float(row[name]) for name in ("value", "low", "high")}
    return Score(**{**{field.name: row[field.name] for field in fields(Score)}, **numbers})
