"""Which commit a run was made at, for those who follow a metric over their history."""

from __future__ import annotations

import subprocess
from pathlib import Path


def current_commit(folder: Path) -> str:
    """Hash of the git commit checked out at a folder, "+" behind it where tracked files differ; empty without git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
