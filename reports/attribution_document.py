"""What `attribute -o NAME.json` holds: all that the sentences and figures of an attribution need, to be read again.

evals.attribution -> attribution.as_json -> a file, or kept beside the runs -> AttributionDocument -> stored ->
sentences and figures again, without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from ..evals.attribution import Attribution

Finding = Literal["found", "unclear", "equal"]
"""Whether there is a change: found, not told from none, or exactly none."""


@dataclass(frozen=True)
class Subject:
    """What an attribution is of, in words."""

    base: str
    candidate: str
    settings: dict[str, str]
    """How it was made, by name: sampler, steps, data ..."""


@dataclass(frozen=True)
class StoredBands:
    """Bands without the levels inside them."""

    edges: tuple[float, ...]

    @property
    def count(self) -> int:
        return len(self.edges) - 1


@dataclass(frozen=True)
class Stored:
    """An attribution that was read: the fields of `evals.attribution.Attribution`."""

    bands: StoredBands
    exact: bool
    metrics: tuple[str, ...]
    seeds: int
    evaluations: float
    full_runs: float
    tables: dict[str, pd.DataFrame]


if TYPE_CHECKING:
    AnyAttribution: TypeAlias = Attribution | Stored


class _Row(BaseModel):
    """A row of a table. What is not known is null."""

    model_config = ConfigDict(extra="allow", frozen=True)

    metric: str


class TotalRow(_Row):
    """The whole change, its interval at once with the bands'."""

    value_base: float | None
    value_candidate: float | None
    change: float
    low: float | None
    high: float | None


class BandRow(_Row):
    """One band's contribution `phi`; low, high: its interval alone; band_: all bands and the total at once."""

    sigma_low: float = Field(gt=0)
    sigma_high: float = Field(gt=0)
    phi: float
    low: float | None
    high: float | None
    band_low: float | None
    band_high: float | None
    share: float | None
    share_low: float | None
    share_high: float | None
    leave_one_in: float | None
    leave_one_out: float | None


class CurveRow(_Row):
    """The change with the candidate above the switch at sigma, or below it."""

    curve: Literal["above", "below"]
    sigma: float = Field(gt=0)
    change: float
    low: float | None
    high: float | None


class ValueRow(_Row):
    """The metric of one coalition, such as "0110" for the candidate in the bands 1 and 2."""

    coalition: str
    value: float | None


class InteractionRow(_Row):
    """What two bands do together beyond each alone."""

    first: int
    second: int
    value: float
    low: float | None
    high: float | None


class TablesDocument(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    totals: list[TotalRow]
    bands: list[BandRow]
    curves: list[CurveRow]
    values: list[ValueRow] = []
    interactions: list[InteractionRow] = []


class FindingDocument(BaseModel):
    """One metric's sentence."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    metric: str
    kind: Finding
    text: str


class AttributionDocument(BaseModel):
    """Which noise bands carry the change between two models' samples. Fields are only ever added."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    base: str
    candidate: str
    settings: dict[str, str]
    findings: list[FindingDocument] = Field(min_length=1)
    """A metric each, the one to infer from first."""
    bands: list[float] = Field(min_length=2)
    """Edges in sigma, descending."""
    seeds: int = Field(ge=2)
    exact: bool
    evaluations_per_seed: float
    full_runs: float
    tables: TablesDocument

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if min(self.bands) <= 0 or any(above <= below for above, below in pairwise(self.bands)):
            raise ValueError(f"bands: expected edges in sigma, descending and above 0, got {self.bands}")
        for metric in (one.metric for one in self.findings):
            counts = [
                sum(row.metric == metric for row in rows)
                for rows in (self.tables.totals, self.tables.bands, self.tables.curves)
            ]
            if counts != [1, len(self.bands) - 1, 2 * len(self.bands)]:
                raise ValueError(
                    f"{metric}: expected a total, {len(self.bands) - 1} bands and {2 * len(self.bands)} points of "
                    f"curves, got {', '.join(map(str, counts))}"
                )
        return self


def stored(document: AttributionDocument) -> tuple[Stored, Subject]:
    """What sentences and figures are made from, as it was before it was written."""
    tables = {
        name: pd.DataFrame([row.model_dump() for row in rows]).replace({None: np.nan}).infer_objects()
        for name, rows in document.tables
        if rows
    }
    found = Stored(
        StoredBands(tuple(document.bands)),
        document.exact,
        tuple(one.metric for one in document.findings),
        document.seeds,
        document.evaluations_per_seed,
        document.full_runs,
        tables,
    )
    return found, Subject(document.base, document.candidate, document.settings)
