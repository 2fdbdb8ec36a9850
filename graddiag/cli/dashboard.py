"""``graddiag dashboard``: the Streamlit dashboard over the runs of a root, by default for this machine alone."""

import os
import secrets
import socket
import sys
from errno import EADDRNOTAVAIL
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import typer

from graddiag.cli.options import Root
from graddiag.cli.terminal import echo
from graddiag.errors import InputError, SettingError

HOST: Final = "127.0.0.1"
ALLOWED_HOSTS: Final = ("localhost", HOST)
EVERY_ADDRESS: Final = "0.0.0.0"
TOKEN_VARIABLE: Final = "GRADDIAG_DASHBOARD_TOKEN"
_TOKEN_BYTES: Final = 24
_TOKEN_CHARACTERS: Final = 16
_PROTECTED: Final = (
    "--server.enableXsrfProtection=true",
    "--server.enableCORS=true",
    "--browser.gatherUsageStats=false",
)
_NO_SUCH: Final = (
    "host {host!r}: this machine has no such address; leave it out for 127.0.0.1, or give 0.0.0.0 for all it has."
)


def dashboard(
    root: Root = Path("runs"),
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
    host: Annotated[
        str,
        typer.Option(
            help="Address or name of this machine to answer at; 0.0.0.0: all of them. Whoever has the printed link can "
            "then read every run."
        ),
    ] = HOST,
    allow_changes: Annotated[
        bool,
        typer.Option("--allow-changes", help="With --host: its pages also start trainings, tag and delete."),
    ] = False,
) -> None:
    """Open the dashboard, on this machine alone unless --host says more."""
    from graddiag.store import shown

    script = app_script()
    check_port(port, host)
    link, environment = f"http://{_named(host)}:{port}", dict(os.environ)
    if not is_local(host):
        environment[TOKEN_VARIABLE] = token()
        link += f"/?token={environment[TOKEN_VARIABLE]}"
        echo(warning(host, port, allow_changes=allow_changes), err=True)
    print(f"dashboard over {shown(root)}: {link} (Ctrl-C ends it)", flush=True)
    command = streamlit_command(script, root, port, host, allow_changes=allow_changes)
    # in place of this process, so that whatever ends this one ends the server
    os.execve(command[0], command, environment)


def warning(host: str, port: int, *, allow_changes: bool = False) -> str:
    """What it means to answer others."""
    where = f"any address of this machine, port {port}," if host == EVERY_ADDRESS else f"{host}:{port}"
    more = ", start trainings here, change tags and notes and put runs in the trash" if allow_changes else ""
    return (
        f"Whoever reaches {where} and has the link below can read every run{more}. The link is sent unencrypted: "
        "over a network you do not trust, use an SSH tunnel instead."
    )


def token() -> str:
    """What a link has to have: that of the environment, else a new one for each start.

    Raises:
        SettingError: the environment's can be guessed, or is no part of an address.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None:
        return secrets.token_urlsafe(_TOKEN_BYTES)
    if len(given) < _TOKEN_CHARACTERS or not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        raise SettingError(
            f"{TOKEN_VARIABLE}: a token has {_TOKEN_CHARACTERS} or more letters, digits, - and _; leave it out for a "
            "new one."
        )
    return given


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine's own address alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _named(host: str) -> str:
    """``host`` as an address has it."""
    if host == EVERY_ADDRESS:
        return HOST
    return f"[{host}]" if ":" in host else host


def streamlit_command(
    script: Path, root: Path, port: int, host: str = HOST, *, allow_changes: bool = False
) -> list[str]:
    """What starts the dashboard; bound to ``host``, deaf to a foreign Host, whatever else is configured."""
    server = [f"--server.address={host}", f"--server.port={port}", "--server.headless=true"]
    hosts = [f"--server.allowedHosts={name}" for name in allowed_hosts(host)]
    start = [sys.executable, "-P", "-m", "streamlit", "run", str(script)]  # -P: imports nothing of the folder it is in
    more = ["--allow-changes"] if allow_changes else []
    return [*start, *server, *_PROTECTED, *hosts, "--", "--root", str(root), *more]


def allowed_hosts(host: str) -> tuple[str, ...]:
    """The names under which a browser may ask for it: ``host``; with every address, the machine's own names and
    addresses, as far as it knows them."""
    if host != EVERY_ADDRESS:
        return tuple(dict.fromkeys((*ALLOWED_HOSTS, host)))
    name = socket.gethostname()
    try:
        _, aliases, addresses = socket.gethostbyname_ex(name)
    except OSError:
        aliases, addresses = [], []
    return tuple(dict.fromkeys((*ALLOWED_HOSTS, name, socket.getfqdn(), *aliases, *addresses)))


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


def check_port(port: int, host: str = HOST) -> None:
    """Raises SettingError if ``port`` is out of range or taken, or ``host`` is none of this machine's addresses."""
    if not 1 <= port <= 65535:
        raise SettingError(f"port {port}: a port is from 1 to 65535; leave it out for 8501.")
    if not host:  # to bind, an empty name is every address
        raise SettingError(_NO_SUCH.format(host=host))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            if not isinstance(error, OSError) or isinstance(error, socket.gaierror) or error.errno == EADDRNOTAVAIL:
                raise SettingError(_NO_SUCH.format(host=host)) from error
            raise SettingError(
                f"port {port}: it cannot be used ({error.strerror}); give another one, e.g. --port {port + 1}."
            ) from error
