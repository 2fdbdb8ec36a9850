"""The dashboard as a user starts it: a server of its own on a free port, with its log."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.waiting import SECONDS

APP: Final = Path(__file__).parents[2] / "dashboards" / "app.py"


@dataclass(frozen=True)
class Served:
    """A dashboard that answers at ``url`` and writes to ``log_file``."""

    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self.log_file.read_text()


@contextlib.contextmanager
def serve(root: Path, folder: Path) -> Iterator[Served]:
    """``streamlit run`` from ``folder``, which is not where the app is, over the runs under ``root``."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(APP),
        f"--server.port={port}",
        "--",
        "--root",
        str(root),
    ]
    with serve_command(command, port, folder) as served:
        yield served


@contextlib.contextmanager
def serve_command(
    command: Sequence[str],
    port: int,
    folder: Path,
    variables: Mapping[str, str] | None = None,
    *,
    path: str = "/_stcore/health",
    healthy: int = 200,
) -> Iterator[Served]:
    """``command`` from ``folder``, once it answers ``path`` with the status ``healthy``."""
    served = Served(port, folder / "server.log")
    known = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    environment = {**known, **(variables or {})}
    with served.log_file.open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_healthy(served, process, path, healthy)
            yield served
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_until_healthy(served: Served, process: subprocess.Popen[bytes], path: str, healthy: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if status(served, path) == healthy:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the dashboard did not start: {served.log()}")


def status(served: Served, path: str, host: str = "localhost", method: str = "GET", **headers: str) -> int:
    """The HTTP status of a request that says it is meant for ``host``."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", f"{host}:{served.port}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def websocket_status(served: Served, host: str, origin: str | None = "", **headers: str) -> int:
    """The status of the handshake over which every page gets its content; 101 is a page that opens. ``origin``: by
    default that of a page of ``host``; None for none."""
    own = {} if origin is None else {"Origin": origin or f"http://{host}:{served.port}"}
    return status(
        served,
        "/_stcore/stream",
        host,
        "GET",
        **own,
        **headers,
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Sec_WebSocket_Version="13",
    )
