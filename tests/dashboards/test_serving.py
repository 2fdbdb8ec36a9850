"""However it is started, the dashboard answers this machine alone, under its own name alone."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.serving import Served, serve, websocket_status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_its_own_name_is_served(served: Served, host: str) -> None:
    assert websocket_status(served, host) == 101


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    assert websocket_status(served, host) == 403


@pytest.mark.parametrize("address", ["127.0.0.2", "127.1.2.3"])
def test_no_other_address_of_this_machine_is_bound(served: Served, address: str) -> None:
    with socket.socket() as trial:
        trial.settimeout(5)
        assert trial.connect_ex((address, served.port)) != 0


def test_its_settings_are_beside_it(served: Served) -> None:
    config = Path(__file__).parents[2] / "dashboards" / ".streamlit" / "config.toml"
    assert "gatherUsageStats = false" in config.read_text()
    assert "0.0.0.0" not in served.log()
