"""Fingerprints of protocols: what went into a number, as words to read and as a short hash to compare."""

from __future__ import annotations

import hashlib
import json


def fingerprint(**parts: str | int) -> str:
    """12 hex digits of the SHA-256 of the named parts, whatever their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
