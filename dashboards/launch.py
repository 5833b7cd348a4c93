"""How the dashboard is started: the `streamlit run` command line, local and quiet."""

from __future__ import annotations

import sys
from pathlib import Path


def command(runs: Path, port: int = 8501, address: str = "127.0.0.1") -> list[str]:
    """The arguments of a process that serves the dashboard of a folder of runs, by default to this machine only.

    -P: where it is started lies no code. Without it a file `click.py` in that folder would be imported, and run.
    """
    options = {
        "server.headless": "true",
        "server.address": address,
        "server.port": str(port),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "viewer",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    page = str(Path(__file__).with_name("app.py"))
    return [sys.executable, "-P", "-m", "streamlit", "run", page, *flags, "--", str(runs)]
