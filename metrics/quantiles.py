"""Quantiles and tails of the normal and Student's t: those of scipy.stats, which takes most of a second to import."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit


def normal_quantile(p: float) -> float:
    """What a standard normal variable is below with probability `p`."""
    return float(ndtri(p))


def normal_tail(x: Any) -> Any:
    """Probability that a standard normal variable is above `x`, of any shape."""
    return ndtr(np.negative(x))


def student_upper(tail: Any, freedom: Any) -> np.ndarray:
    """What Student's t is above with probability `tail`, 0 < tail < 1; the normal's where freedom is infinite."""
    freedom = np.asarray(freedom, float)
    normal = np.isinf(freedom)
    return np.asarray(np.where(normal, -ndtri(tail), -stdtrit(np.where(normal, 1.0, freedom), tail)))
