"""Names and sentences as text wherever they land: models, classes and files are named by whoever brings them.

Every output writes a name through `plain` and then through its own escape: HTML's is Jinja's, figures' style.text.
"""

from __future__ import annotations

_PICTURES: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20)}
"""Control characters by their pictures (ESC as ␛), those of the second set by replacement characters; nothing for marks
that turn or hide what stands beside them, and for code points that no file may hold."""
_PICTURES |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_PICTURES |= dict.fromkeys([0x61C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
_PICTURES |= dict.fromkeys([0xFEFF, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)])


def plain(text: object, limit: int | None = None) -> str:
    """Text on one line: whitespace becomes a space, control characters are shown and do nothing.

    With a limit, at most so many characters, the last "…" where some were left out.
    """
    shown = " ".join(str(text).split()).translate(_PICTURES)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def visible(text: str) -> str:
    """Text whose lines stay, and whose control characters are shown and do nothing."""
    return "\n".join(line.translate(_PICTURES) for line in text.split("\n"))
