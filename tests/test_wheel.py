"""What people install: the wheel carries the dashboard, and the dashboard starts from it."""

import http.client
import os
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.waiting import SECONDS

ROOT = Path(__file__).parent.parent
SOURCES = [
    path.relative_to(ROOT)
    for room in ("graddiag", "dashboards")
    for path in sorted((ROOT / room).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]
RUN_THE_APP = """
from pathlib import Path
import graddiag
from streamlit.testing.v1 import AppTest
app = AppTest.from_file(Path(graddiag.__file__).parent / "_dashboards" / "main.py", default_timeout=120).run()
assert not app.exception, app.exception
"""
WEBSOCKET_KEY = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
SECOND_LOOPBACK = "127.0.0.2"  # a server bound to 0.0.0.0 answers here, one bound to 127.0.0.1 does not

pytestmark = pytest.mark.slow


def run(*command: str | Path, **settings: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel and the source distribution, each built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which the installed wheel is the only graddiag; dependencies are those of the tests."""
    site = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, next(dist.glob("*.whl")))
    return os.environ | {"PYTHONPATH": str(site), "PATH": f"{site / 'bin'}:{os.environ['PATH']}"}


def test_wheel_carries_package_dashboard_templates_and_types(dist: Path) -> None:
    names = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    expected = {str(path).replace("dashboards/", "graddiag/_dashboards/", 1) for path in SOURCES}
    assert {"graddiag/py.typed", "graddiag/_dashboards/.streamlit/config.toml"} <= expected
    assert [name for name in expected if name.startswith("graddiag/report/") and not name.endswith(".py")]
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_source_distribution_builds_the_same_package(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "graddiag/__init__.py", "dashboards/app.py"} <= names
    assert not [name for name in names if name.split("/")[0] in {"runs", ".venv", "dist"}]


def test_installed_package_is_the_one_that_runs(environment: dict[str, str], tmp_path: Path) -> None:
    code = "import graddiag, pathlib; print(pathlib.Path(graddiag.__file__).parent.parent)"
    assert run(sys.executable, "-c", code, env=environment, cwd=tmp_path).strip() == environment["PYTHONPATH"]
    assert "dashboard" in run("graddiag", "--help", env=environment, cwd=tmp_path)


def test_dashboard_of_the_wheel_shows_its_first_page(environment: dict[str, str], tmp_path: Path) -> None:
    run(sys.executable, "-c", RUN_THE_APP, env=environment, cwd=tmp_path)


@pytest.fixture
def port(environment: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """The port at which ``graddiag dashboard`` of the installed wheel answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    command = ["graddiag", "dashboard", "--root", str(tmp_path), "--port", str(number)]
    log = tmp_path / "dashboard.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=out, stderr=out, executable=_found("graddiag", environment)
        ) as server,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            while not _listens(number):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield number
        finally:
            server.terminate()


def test_dashboard_of_the_wheel_answers_this_machine_alone(port: int) -> None:
    """Everything a page shows comes over its websocket, which a rebound name must not open."""
    assert status(port, "/", host=f"127.0.0.1:{port}") == HTTPStatus.OK
    for host in ("127.0.0.1", "localhost"):
        assert websocket(port, host=f"{host}:{port}") == HTTPStatus.SWITCHING_PROTOCOLS
    for host in ("example.com", "example.com:8501", "127.0.0.1.example.com"):
        assert websocket(port, host=host) == HTTPStatus.FORBIDDEN


def test_dashboard_of_the_wheel_listens_on_no_other_address(port: int) -> None:
    with socket.socket() as outside:
        outside.settimeout(2)
        assert outside.connect_ex((SECOND_LOOPBACK, port)) != 0


def websocket(port: int, host: str) -> int:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    return status(port, "/_stcore/stream", host, Origin=f"http://{host}", **upgrade, **WEBSOCKET_KEY)


def status(port: int, path: str, host: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET", path, headers={"Host": host, **headers})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _found(name: str, environment: dict[str, str]) -> str:
    return str(Path(environment["PYTHONPATH"]) / "bin" / name)
