"""Names and sentences as text wherever they land: models, classes and files are named by whoever brings them.

Every output writes a name through `plain` and then through its own escape: HTML's is Jinja's, figures' style.text.
"""

from __future__ import annotations

import re

_UNSEEN = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
"""Marks that turn or hide what stands beside them, and code points that no file may hold."""


def plain(text: object, limit: int | None = None) -> str:
    """Text on one line: whitespace becomes a space, control characters are shown (ESC as ␛) and do nothing.

    With a limit, at most so many characters, the last "…" where some were left out.
    """
    flat = _UNSEEN.sub("", " ".join(str(text).split()))
    shown = "".join(_picture(character) for character in flat)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def _picture(character: str) -> str:
    """A control character as its picture (Unicode block U+2400), of the second set as a replacement character."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd" if 0x80 <= code < 0xA0 else character
