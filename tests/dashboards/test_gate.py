"""The dashboard among other local programs: by HTTP and WebSocket, against the server as a user starts it."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from graddiag.cli.dashboard import TOKEN_VARIABLE, app_script, streamlit_command
from tests.dashboards.conftest import Open
from tests.dashboards.jobs import end, leave
from tests.dashboards.serving import Served, free_port, serve, serve_command, status, websocket_status
from tests.dashboards.synthetic import pair, write_all
from tests.dashboards.test_pages import words

TOKEN = "a-token-that-nobody-has-guessed"
PATHS = (
    *("/", "/run?run=a", "/lab", "/_stcore/health", "/_stcore/host-config", "/static/js/index.js"),
    *("/media/0.csv", "/downloads/0/a.csv", "/component/ui.plotlyjs.plotly/plotly.min.js", "/_stcore/upload_file/a/b"),
)
FOREIGN = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "user@localhost", "")
LOCAL_PAGES = ("http://localhost:1", "http://127.0.0.1:3000", "https://evil.example", "null", "file://")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_host_is_refused_on_every_path(served: Served, path: str) -> None:
    assert status(served, path) != 403
    assert {status(served, path, host) for host in FOREIGN} == {403}


@pytest.mark.parametrize("path", PATHS)
def test_pages_of_other_servers_are_refused_on_every_path(served: Served, path: str) -> None:
    assert {status(served, path, Origin=origin) for origin in LOCAL_PAGES} == {403}
    for site in ("same-site", "cross-site"):
        assert status(served, path, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") == 403
        assert status(served, path, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate") != 403  # a link to it is followed


def test_its_own_pages_alone_get_the_websocket(served: Served) -> None:
    assert websocket_status(served, "localhost") == websocket_status(served, "127.0.0.1") == 101
    assert {websocket_status(served, "localhost", origin) for origin in LOCAL_PAGES} == {403}
    assert websocket_status(served, "localhost", None) == 403
    assert websocket_status(served, "localhost", f"http://127.0.0.1:{served.port}") == 403  # of another name
    assert websocket_status(served, "localhost", f"http://localhost:{served.port}.evil.example") == 403


def test_no_page_of_another_server_frames_it(served: Served) -> None:
    with Answered(served, "/") as answer:
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_a_file_cannot_be_uploaded_without_the_token_of_a_page(served: Served) -> None:
    own = f"http://localhost:{served.port}"
    assert status(served, "/_stcore/upload_file/a/b", method="PUT", Origin=own) in (400, 403)


def test_the_interface_for_programs_is_closed(served: Served) -> None:
    assert status(served, "/_stcore/agent/openapi.json") == 403


class Answered:
    """The answer to a request of its own host."""

    def __init__(self, served: Served, path: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        self.connection.request("GET", path, headers=headers)

    def __enter__(self) -> http.client.HTTPResponse:
        return self.connection.getresponse()

    def __exit__(self, *error: object) -> None:
        self.connection.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard that answers a network: here all addresses of this machine."""
    root, folder = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("elsewhere")
    port = free_port()
    command = streamlit_command(app_script(), root, port, "0.0.0.0")
    with serve_command(command, port, folder, {TOKEN_VARIABLE: TOKEN}, path=f"/?token={TOKEN}", healthy=303) as one:
        yield one


def test_over_a_network_nothing_is_had_without_the_link(shared: Served) -> None:
    assert {status(shared, path, "127.0.0.1") for path in PATHS} == {401}
    assert websocket_status(shared, "127.0.0.1") == 403
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
        assert status(shared, f"/?token={wrong}", "127.0.0.1") == 401
        assert status(shared, "/", "127.0.0.1", Cookie=f"graddiag_token_{shared.port}={wrong}") == 401


def test_the_link_gives_a_cookie_and_the_address_without_the_token(shared: Served) -> None:
    with Answered(shared, f"/run?token={TOKEN}&run=pair/off&run=pair/on") as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/run?run=pair%2Foff&run=pair%2Fon"
        cookie = answer.headers["Set-Cookie"]
    name, _, rest = cookie.partition("=")
    value, *more = (part.strip().lower() for part in rest.split(";"))
    assert (name, value) == (f"graddiag_token_{shared.port}", TOKEN)
    assert {"httponly", "samesite=strict"} <= set(more)
    assert status(shared, "/", "127.0.0.1", Cookie=f"{name}={TOKEN}") == 200
    assert websocket_status(shared, "127.0.0.1", Cookie=f"{name}={TOKEN}") == 101
    assert websocket_status(shared, "127.0.0.1", "http://localhost:1", Cookie=f"{name}={TOKEN}") == 403
    assert status(shared, f"/?token={TOKEN}", "evil.example") == 403


def test_a_redirect_stays_on_this_server(shared: Served) -> None:
    with Answered(shared, f"//evil.example/?token={TOKEN}") as answer:
        assert not answer.headers.get("Location", "/").startswith("//")


def test_the_token_is_not_handed_to_what_pages_start(shared: Served) -> None:
    assert TOKEN not in shared.log()


def test_without_a_token_a_network_is_not_answered(tmp_path: Path) -> None:
    port = free_port()
    command = streamlit_command(app_script(), tmp_path, port, "0.0.0.0")
    with (
        pytest.raises(RuntimeError, match="Start it with: graddiag dashboard --host"),
        serve_command(command, port, tmp_path, {TOKEN_VARIABLE: "short"}),
    ):
        pass


def test_a_page_that_may_change_nothing_offers_nothing(
    open_page: Open, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ui import access

    link = write_all(root, pair())[0]
    end(root, leave(root), 2, "graddiag: the disk is full")
    labels = {"Tags and notes", "Delete", "Record the pair", "Move to the trash", "Save", "Dismiss"}

    def offered() -> set[str]:
        page = open_page("runs", selected=link)
        assert not page.exception
        return labels & {each.label for each in page.button}

    assert offered() == {"Record the pair", "Move to the trash", "Save", "Dismiss"}
    monkeypatch.setattr(access, "may_change", lambda: False)
    assert offered() == set()
    lab = open_page("lab")
    assert not lab.button
    assert "start no training" in words(lab)


@pytest.mark.parametrize(
    ("address", "arguments", "allowed"),
    [("127.0.0.1", [], True), ("::1", [], True), ("0.0.0.0", [], False), ("0.0.0.0", ["--allow-changes"], True)],
)
def test_who_may_change(monkeypatch: pytest.MonkeyPatch, address: str, arguments: list[str], allowed: bool) -> None:
    from ui import access

    monkeypatch.setattr(access.config, "get_option", lambda name: address)
    monkeypatch.setattr("sys.argv", ["app.py", "--root", "runs", *arguments])
    assert access.may_change() is allowed
