"""Who may use the dashboard, and for what: on this machine anybody, over a network whoever has the link.

Set when the server starts and fixed until it ends: ``--server.address`` says which, the variable
``GRADDIAG_DASHBOARD_TOKEN`` holds the token of the link, and ``-- --allow-changes`` lets a network do what a page on
this machine may: start trainings, tag, delete.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Final

from streamlit import config

TOKEN_VARIABLE: Final = "GRADDIAG_DASHBOARD_TOKEN"
FEWEST: Final = 16  # characters of a token that cannot be guessed
WHY_NOT: Final = (
    "This dashboard answers a network, so its pages start no training and change no run. To let them: "
    "graddiag dashboard --host ... --allow-changes"
)
_NO_TOKEN: Final = (
    f"The dashboard is to answer at {{address}}, which others can reach, and {TOKEN_VARIABLE} has no token of "
    f"{FEWEST} characters or more. Start it with: graddiag dashboard --host {{address}}"
)


@dataclass(frozen=True)
class Access:
    """hosts: the names under which a browser may ask for the dashboard. token: what a link has to have, None where
    this machine alone is answered. changes: whether pages may start trainings, tag and delete."""

    hosts: tuple[str, ...]
    token: str | None
    changes: bool


@cache
def access() -> Access:
    """The access of this server.

    Raises:
        SystemExit: others can reach it, and there is no token.
    """
    address, token = config.get_option("server.address"), os.environ.pop(TOKEN_VARIABLE, None)
    hosts = tuple(config.get_option("server.allowedHosts"))
    if is_local(address):
        return Access(hosts, None, changes=True)
    if token is None or len(token) < FEWEST:
        raise SystemExit(_NO_TOKEN.format(address=address or "0.0.0.0"))
    return Access(hosts, token, changes=_changes_asked_for())


def may_change() -> bool:
    """Whether a page may offer to start trainings, tag and delete."""
    return is_local(config.get_option("server.address") or "localhost") or _changes_asked_for()


def is_local(address: str | None) -> bool:
    """Whether an address to bind is this machine's own alone; None is every address."""
    if address == "localhost":
        return True
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False


def _changes_asked_for() -> bool:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--allow-changes", action="store_true")
    asked: bool = parser.parse_known_args(sys.argv[1:])[0].allow_changes
    return asked
