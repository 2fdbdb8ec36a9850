"""The gate before the server: what does not come from the dashboard's own pages is refused, on every path.

Streamlit checks the Host of the WebSocket alone, and lets any page of this machine in by it.
"""

from dataclasses import dataclass
from http import HTTPStatus
from secrets import compare_digest
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ui.access import Access

TOKEN: Final = "token"  # in the address of a link
COOKIE: Final = "graddiag_token"
_DAYS: Final = 30
_ADDED: Final = {
    "content-security-policy": "frame-ancestors 'self'",  # no page of another server shows this one in a frame
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_FOREIGN_SITES: Final = ("cross-site", "same-site")  # same-site: another port of this machine


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused, in words for the browser that shows them."""

    status: HTTPStatus
    words: str


_HOST: Final = Refusal(HTTPStatus.FORBIDDEN, "The dashboard does not answer under this name.")
_ORIGIN: Final = Refusal(HTTPStatus.FORBIDDEN, "The dashboard answers its own pages alone.")
_CLOSED: Final = "/_stcore/agent/"  # an interface of Streamlit's for programs, which no page uses
_NO_TOKEN: Final = Refusal(
    HTTPStatus.UNAUTHORIZED,
    "This dashboard asks for its link. Open the address that `graddiag dashboard --host` printed when it started.",
)


@dataclass(frozen=True)
class AccessGate:
    """ASGI middleware: passes on what ``why_refused`` has nothing against."""

    app: ASGIApp
    access: Access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        found = why_refused(HTTPConnection(scope), self.access)
        entered = None if found is _HOST or found is _ORIGIN else entrance(HTTPConnection(scope), self.access)
        if entered is not None:
            await entered(scope, receive, send)
        elif found is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(reason=found.words)(scope, receive, send)
        else:
            await PlainTextResponse(found.words, found.status, headers=_ADDED)(scope, receive, send)


def why_refused(asked: HTTPConnection, access: Access) -> Refusal | None:
    """Why a request or a handshake is refused; None where it is not.

    A foreign Host is what a rebound name of another server has. A foreign Origin is a page of another server, also of
    another port of this machine; the WebSocket, by which pages are driven, needs the Origin of the dashboard. Of
    requests without an Origin the browser says itself whether another page asks, unless it follows a link.
    """
    headers = asked.headers
    if asked.url.path.startswith(_CLOSED):
        return _ORIGIN
    if not _is_own_host(headers.get("host", ""), access.hosts):
        return _HOST
    origin = headers.get("origin")
    driven = asked.scope["type"] == "websocket"
    if (driven or origin is not None) and not _is_own_origin(origin or "", headers):
        return _ORIGIN
    if headers.get("sec-fetch-site") in _FOREIGN_SITES and headers.get("sec-fetch-mode") != "navigate":
        return _ORIGIN
    if access.token is not None and not _same(asked.cookies.get(_cookie(headers), ""), access.token):
        return _NO_TOKEN
    return None


def entrance(asked: HTTPConnection, access: Access) -> Response | None:
    """What answers a link that has the token: a cookie, and the address without it, so that no page hands it on."""
    given = asked.query_params.get(TOKEN)
    if access.token is None or given is None or asked.scope["type"] != "http" or not _same(given, access.token):
        return None
    there = URL(scope=asked.scope).remove_query_params(TOKEN)
    address = f"{there.path}?{there.query}" if there.query else there.path
    response = RedirectResponse(f"/{address.lstrip('/')}", HTTPStatus.SEE_OTHER, headers=_ADDED)
    response.set_cookie(
        _cookie(asked.headers), access.token, max_age=_DAYS * 24 * 3600, httponly=True, samesite="strict"
    )
    return response


def _is_own_host(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether the Host header names one of ``hosts``; whatever the port, which a tunnel may change."""
    try:
        found = urlsplit(f"//{host}")
        name, _ = found.hostname, found.port
    except ValueError:
        return False
    plain = name is not None and found.netloc == host and "@" not in host
    return plain and str(name).rstrip(".") in {each.lower().strip("[]") for each in hosts}


def _is_own_origin(origin: str, headers: Headers) -> bool:
    """Whether a page of this very host and port asks."""
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place.lower() == headers.get("host", "").lower()


def _cookie(headers: Headers) -> str:
    """The name of the cookie: browsers give those of one host to all of its ports, so each has a name of its own."""
    port = urlsplit(f"//{headers.get('host', '')}").port
    return COOKIE if port is None else f"{COOKIE}_{port}"


def _same(given: str, token: str) -> bool:
    return compare_digest(given.encode(), token.encode())


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ADDED.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
