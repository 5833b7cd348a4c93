"""`sigmascope view` as a process: whatever ends it ends its server too, and a port that is taken is told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import pytest
from sigmascope.dashboards import launch
from sigmascope.errors import ConfigError

PATIENCE = 60.0
"""Seconds for a start; an end takes a fraction of one."""


def _free() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
            return True
    except OSError:
        return False


def _left(group: int) -> bool:
    """Whether a process of the group is alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"])
def test_the_server_ends_with_the_command(tmp_path: Path, ending: str) -> None:
    """The signal goes to the command alone, not to its group, as `kill PID` sends it."""
    port = _free()
    view = [sys.executable, "-m", "sigmascope", "view", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(
        view, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            end = monotonic() + PATIENCE
            while not _answers(port):
                assert process.poll() is None
                assert monotonic() < end, "no server answers"
                sleep(0.2)
            process.send_signal(signal.Signals[ending])
            said, _ = process.communicate(timeout=PATIENCE)  # ends only once nobody holds its output any more
            assert f"http://127.0.0.1:{port}" in said
            launch.check_free(port)
            assert not _left(process.pid)
        finally:
            if _left(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_port_that_is_taken_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"expected a free port, got {port}"):
            launch.check_free(port)
    launch.check_free(port)
