"""What the tests of pages hold to be trouble in the log of a server."""

from tests.dashboards.watched import _DEPARTURE

LEFT = """Exception in ASGI application
Traceback (most recent call last):
  File "starlette_websocket.py", line 516, in _websocket_endpoint
starlette.websockets.WebSocketDisconnected: WebSocket is not connected. Need to call "accept" first.

During handling of the above exception, another exception occurred:

starlette.websockets.WebSocketDisconnected: Cannot call "send" once a close message has been sent.
"""
BROKEN = """Exception in ASGI application
Traceback (most recent call last):
KeyError: 'grad_h'
"""


def test_a_browser_that_left_is_no_trouble_and_all_else_is() -> None:
    assert _DEPARTURE.sub("", LEFT) == ""
    assert _DEPARTURE.sub("", BROKEN) == BROKEN
    assert _DEPARTURE.sub("", f"{BROKEN}{LEFT}after\n") == f"{BROKEN}after\n"
