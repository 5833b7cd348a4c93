"""How the dashboard is started: the `streamlit run` command line, local and quiet, and the process that becomes it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from ..errors import ConfigError


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


def serve(runs: Path, port: int) -> int:
    """Serve the dashboard until it is ended; its exit code.

    This process becomes the server, so that whatever ends it (a signal, a closed terminal) ends the server: there is
    no other. On Windows, where a process can't be replaced, the server is its child.
    """
    arguments = command(runs, port)
    if os.name != "nt":
        sys.stdout.flush()
        os.execv(arguments[0], arguments)
    return subprocess.call(arguments)


def check_free(port: int, address: str = "127.0.0.1") -> None:
    """Raises ConfigError where something else answers on this port."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a minute ago is free
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ConfigError(f"--port: expected a free port, got {port}: {error.strerror}") from error
