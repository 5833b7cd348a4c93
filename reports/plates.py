"""One figure of a report and where it stands: what sections.py and sampler_plates.py are made of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

LONGEST = 60
"""Letters that a name from a run has in a file's."""


Draw = Callable[[], go.Figure]
"""What makes a figure: a method of `Report` and what it is asked for."""


@dataclass(frozen=True)
class Plate:
    """One figure. `name` is a file's, of a-z, 0-9 and hyphens; `title` and `note` may hold names from runs."""

    name: str
    make: Draw
    title: str = ""
    note: str = ""
    flips: bool = False
    """Whether it has buttons, which paper has not."""


@dataclass(frozen=True)
class Section:
    """A heading of the contents list, one sentence on how to read what follows, and the figures."""

    anchor: str
    title: str
    note: str
    plates: tuple[Plate, ...]


def slug(words: str) -> str:
    """Words as part of a file's name."""
    flat = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", flat).strip("-")[:LONGEST] or "unnamed"
