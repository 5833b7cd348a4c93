"""Stitching attribution: which noise bands carry the change between two models' samples.

bands.py cuts the noise axis, stitching.py runs coalitions of bands with shared prefixes, values.py says what each is
worth, game.py and inference.py turn that into contributions with intervals, attribute.py joins them.
"""

from .attribute import Attribution, attribute, real_features
from .bands import Bands, checked_edges, divide, shared_range, uniform_edges
from .game import MOST_EXACT, Game
from .stitching import Coalition, Player, Stitched, check, class_balanced, planned, stitch
from .values import VALUES

__all__ = [
    "MOST_EXACT",
    "VALUES",
    "Attribution",
    "Bands",
    "Coalition",
    "Game",
    "Player",
    "Stitched",
    "attribute",
    "check",
    "checked_edges",
    "class_balanced",
    "divide",
    "planned",
    "real_features",
    "shared_range",
    "stitch",
    "uniform_edges",
]
