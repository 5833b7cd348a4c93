"""How numbers are written, in every figure, sentence and table. Missing reads "not scored", never 0."""

from __future__ import annotations

import math

MISSING = "not scored"


def number(value: float | None, digits: int = 3) -> str:
    """`value` with `digits` significant digits: 0.30, 12.5, 1,234, 1.2e-5."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    text = f"{value:,.0f}" if size >= 10 ** (digits - 1) else f"{value:#.{digits}g}"
    return text.replace("-", "−")


def percent(ratio: float, signed: bool = True) -> str:
    """A ratio as a change: 1.34 -> "+34%", 0.996 -> "−0.4%"; from a tripling upwards "×3.2"."""
    if math.isnan(ratio):
        return MISSING
    if ratio >= 3:
        return f"×{number(ratio, 2)}"
    change = 100 * (ratio - 1)
    text = f"{abs(change):.0f}" if abs(change) >= 9.95 else f"{abs(change):.1f}"
    sign = "" if float(text) == 0 else "+" if change > 0 else "−"
    return f"{sign if signed else ''}{text}%"


def sigma_range(low: float, high: float) -> str:
    """A noise band: "0.30–1.1", or "0.30" for a single level."""
    first, last = number(low, 2), number(high, 2)
    return first if first == last else f"{first}–{last}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """ "[1.20, 1.40]"; empty where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{number(low, digits)}, {number(high, digits)}]"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign."""
    text = number(value, digits)
    return f"+{text}" if not math.isnan(value) and value > 0 else text


def reach(low: float | None, high: float | None) -> str:
    """The noise levels a model takes, where None (or NaN, in a table) stands for an open end: "0–∞"."""
    ends = ["0" if low is None or math.isnan(low) else number(low, 2)]
    ends += ["∞" if high is None or math.isnan(high) else number(high, 2)]
    return "–".join(ends)
