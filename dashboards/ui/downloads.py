"""Files to download, made when they are asked for and given by a separate route.

Streamlit's download button keeps what it has made as long as two scripts of any visitor run, which a page that looks
for changes every second does before a busy browser has fetched it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from html import escape
from secrets import token_bytes
from threading import Lock
from typing import Final
from urllib.parse import quote

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from graddiag.errors import GraddiagError

Content = Callable[[], str | bytes]

ROUTE: Final = "downloads"
MOST: Final = 1024  # files on offer, of all visitors; those that were offered longest ago are given up
_GONE: Final = "This file is no longer on offer. Reload the page that it is on."
_LINK: Final = (
    "display:inline-flex;align-items:center;gap:.4rem;min-height:1.5rem;padding:0 .5rem;white-space:nowrap;"
    "color:inherit;text-decoration:none;font-size:.875rem"
)


@dataclass(frozen=True)
class Offered:
    """A file by name: what makes it, and its type."""

    name: str
    content: Content
    mime: str


@dataclass(frozen=True)
class Offers:
    """Files on offer by the key of their link, which nobody can guess. A place of a page has the same key for a visitor
    as long as the server runs, so that a link that was drawn a moment ago gives the file of now."""

    secret: bytes = field(default_factory=lambda: token_bytes(32))
    files: OrderedDict[str, Offered] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)

    def add(self, place: str, offered: Offered) -> str:
        """Offers the file at a place; gives the key."""
        key = blake2b(place.encode(), key=self.secret, digest_size=16).hexdigest()
        with self.lock:
            self.files[key] = offered
            self.files.move_to_end(key)
            while len(self.files) > MOST:
                self.files.popitem(last=False)
        return key

    def get(self, key: str) -> Offered | None:
        with self.lock:
            return self.files.get(key)


@cache
def offers() -> Offers:
    """Those of this server."""
    return Offers()


def download(label: str, content: Content, name: str, mime: str, *, key: str, about: str) -> None:
    """A link to the file ``name``. ``content`` makes it when somebody follows the link, in a thread of the server: it
    may not draw. ``key``: that of its place on the page; ``about``: what the file holds."""
    context = get_script_run_ctx()
    place = f"{context.session_id if context else ''} {context.page_script_hash if context else ''} {key}"
    address = f"{ROUTE}/{offers().add(place, Offered(name, content, mime))}/{quote(name)}"
    st.html(
        f'<a href="{escape(address)}" download="{escape(name)}" title="{escape(about)}" style="{_LINK}">'
        f"{escape(label)}</a>",
        width="content",
    )


def given(request: Request) -> Response:
    """The file that a link asks for."""
    offered = offers().get(request.path_params["key"])
    if offered is None:
        return PlainTextResponse(_GONE, 404)
    try:
        content = offered.content()
    except GraddiagError as error:  # its run is gone by now
        return PlainTextResponse(str(error), 410)
    saved = f"attachment; filename*=UTF-8''{quote(offered.name)}"
    headers = {"content-disposition": saved, "cache-control": "no-store"}
    return Response(content, media_type=offered.mime, headers=headers)


ROUTES: Final = (Route(f"/{ROUTE}/{{key}}/{{name}}", given),)
