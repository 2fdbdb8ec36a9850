"""``graddiag dashboard``: the Streamlit dashboard over the runs of a root, for this machine alone."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from graddiag.cli.options import Root
from graddiag.errors import InputError, SettingError

HOST: Final = "127.0.0.1"
ALLOWED_HOSTS: Final = ("localhost", HOST)


def dashboard(
    root: Root = Path("runs"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8501,
) -> None:
    """Open the dashboard on 127.0.0.1."""
    script = app_script()
    check_port(port)
    print(f"dashboard over {root}: http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
    command = streamlit_command(script, root, port)
    os.execv(command[0], command)  # in place of this process, so that whatever ends this one ends the server


def streamlit_command(script: Path, root: Path, port: int) -> list[str]:
    """What starts the dashboard; bound to this machine, deaf to a foreign Host, whatever else is configured."""
    server = [f"--server.address={HOST}", f"--server.port={port}", "--server.headless=true"]
    hosts = [f"--server.allowedHosts={host}" for host in ALLOWED_HOSTS]
    start = [sys.executable, "-m", "streamlit", "run", str(script)]
    return [*start, *server, *hosts, "--browser.gatherUsageStats=false", "--", "--root", str(root)]


def app_script() -> Path:
    """The dashboard's app: the one in the wheel, or the checkout's.

    Raises:
        InputError: neither is there.
    """
    import graddiag

    package = Path(graddiag.__file__).parent
    candidates = [package / "_dashboards" / "app.py", package.parent / "dashboards" / "app.py"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"dashboard: its app is in none of {', '.join(map(str, candidates))}; install graddiag again.")


def check_port(port: int) -> None:
    """Raises SettingError if ``port`` is out of range or taken on this machine."""
    if not 1 <= port <= 65535:
        raise SettingError(f"port {port}: a port is from 1 to 65535; leave it out for 8501.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingError(
                f"port {port}: it cannot be used ({error.strerror}); give another one, --port {port + 1} say."
            ) from error
