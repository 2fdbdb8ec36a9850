"""The ready-made callbacks: print, stop, a webhook, TensorBoard, W&B."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest

from graddiag import alerts
from graddiag.alerts import Alert, OnFinding
from graddiag.errors import SettingError, StopTraining
from tests.alerts.diagnoses import diagnosis_with
from tests.needs import needs

FOUND = diagnosis_with("stuck", "vanishing")


def alert(*, cleared: bool = False, step: int = 12) -> Alert:
    about = ("made", Path("runs/made"), step, "vanishing", "cause", cleared, "vanishing gradient", "It vanishes.")
    return Alert(*about, None if cleared else "Use an LSTM.", FOUND)  # type: ignore[arg-type]


def post_all(post: alerts.Webhook, *given: Alert, wait: bool = False) -> None:
    for each in given:
        post(each)
    if wait:
        post.wait()


class Server:
    """An address on this machine that keeps what is posted, and answers with ``status``."""

    def __init__(self, status: int = 200) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.go = threading.Event()
        self.go.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.go.wait(60)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posted.append((self.headers["Content-Type"], json.loads(body)))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/services/secret"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.go.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    found = Server(getattr(request, "param", 200))
    yield found
    found.close()


def test_the_names_of_the_command_line_are_those_that_are_ready() -> None:
    assert tuple(alerts.READY_MADE) == get_args(OnFinding)


def test_print_writes_a_line_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    alerts.print_alert(alert())
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "graddiag: made, step 12: vanishing gradient. It vanishes. Do first: Use an LSTM.\n"


def test_stop_raises_for_what_appears() -> None:
    with pytest.raises(StopTraining, match=r"^made, step 12: vanishing gradient\. It vanishes\."):
        alerts.stop(alert())
    alerts.stop(alert(cleared=True))


def test_a_webhook_posts_json_as_slack_takes_it(server: Server) -> None:
    post = alerts.webhook(server.url)
    for each in (alert(), alert(cleared=True)):
        post(each)
    post.wait()
    texts = [{"text": str(alert())}, {"text": str(alert(cleared=True))}]
    assert server.posted == [("application/json", each) for each in texts]


def test_a_webhook_that_hangs_makes_nobody_wait(server: Server) -> None:
    """The server answers once all calls have returned; of too many alerts the last are dropped."""
    server.go.clear()
    post = alerts.webhook(server.url, timeout=60)
    with pytest.warns(RuntimeWarning, match=r"could not post an alert to 127\.0\.0\.1: 16 alerts wait for it"):
        post_all(post, *(alert(step=step) for step in range(18)))
    server.go.set()
    post.wait()
    assert len(server.posted) == 16


@pytest.mark.parametrize("server", [500], indirect=True)
def test_what_cannot_be_posted_is_warned_of_once(server: Server) -> None:
    post = alerts.webhook(server.url)
    with pytest.warns(RuntimeWarning, match=r"could not post an alert to 127\.0\.0\.1: HTTPError") as told:
        post_all(post, *[alert()] * 3, wait=True)
    assert len(told) == 1
    assert "secret" not in str(told[0].message)


def test_an_address_that_nobody_listens_at_is_warned_of() -> None:
    server = Server()
    server.close()
    post = alerts.webhook(server.url, timeout=5)
    post(alert())
    with pytest.warns(RuntimeWarning, match="could not post an alert"):
        post.wait()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "hooks.slack.com/x", "http://", "ftp://a/b"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(SettingError, match="has to begin with http"):
        alerts.webhook(url)


def test_tensorboard_gets_a_text(tmp_path: Path) -> None:
    needs("tensorboard", "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        alerts.tensorboard(writer)(alert())
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    (event,) = found.Tensors("graddiag/vanishing/text_summary")
    assert event.step == 12
    assert event.tensor_proto.string_val == [str(alert()).encode()]


def test_wandb_gets_an_alert() -> None:
    sent: list[dict[str, str]] = []

    class Run:
        def alert(self, **fields: str) -> None:
            sent.append(fields)

    send = alerts.wandb(Run())
    send(alert())
    send(alert(cleared=True))
    assert sent == [
        {"title": "made: vanishing gradient", "text": str(alert()), "level": "WARN"},
        {"title": "made: cleared: vanishing gradient", "text": str(alert(cleared=True)), "level": "INFO"},
    ]
