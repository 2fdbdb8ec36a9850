"""For all tests: a real Chromium to look at pages as people see them, more time for those marked slow, and --quick."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.needs import needs_chromium
from tests.waiting import SECONDS

CHROMIUM_SWITCHES: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SLOW: Final = ("slow", "browser", "third_party")
LIBRARIES: Final = Path(__file__).parent / "integrations"
SLOW_LIST: Final = Path(__file__).parent / "slow.txt"  # made by scripts/slow_tests.py
SLOW_SECONDS: Final = 1200  # in a browser much is waited for, each time for as long as a busy machine may take
# Threads of torch that wait for one another on a busy machine take many times as long: no test is to hang on that.
# Here, before a test imports torch, and for every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # xdist sets it in its workers, and what is printed keeps to it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="leave out the tests that tests/slow.txt lists, or that are marked slow"
    )


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A slow test or one in a browser gets more than the time limit of pyproject.toml, if it has none of its own; those
    of the integrations are marked as tests with other libraries."""
    for item in items:
        if item.path.is_relative_to(LIBRARIES):
            item.add_marker(pytest.mark.libraries)
    if config.getoption("--quick"):
        listed = set(SLOW_LIST.read_text().split())
        left_out = {each for each in items if _is_slow(each, listed)}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [each for each in items if each not in left_out]
    for item in items:
        slow = item.get_closest_marker("slow") or item.get_closest_marker("browser")
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the collector, which runs by itself and in tests, need not walk over
    thousands of tests and the modules of torch each time."""
    gc.collect()
    gc.freeze()


def _is_slow(item: pytest.Item, listed: set[str]) -> bool:
    return item.nodeid.partition("[")[0] in listed or any(map(item.get_closest_marker, SLOW))


@pytest.fixture(scope="session", autouse=True)
def _without_sync() -> Iterator[None]:
    """A sync takes 10 ms or more, thousands of times in these tests, and power does not fail in one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Streamlit's AppTest puts its script in the place of ``__main__``, and each process that is started later would
    run that script."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Where there is none the test is skipped and says so; in CI it fails."""
    executable = needs_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_SWITCHES))
        browser.on("context", lambda context: context.set_default_timeout(1000 * SECONDS))
        yield browser
        browser.close()


@pytest.fixture(params=["plain", "compiled"])
def either_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A test runs twice: without the kernels of the extra ``fast``, and with them, those of cells in float64 too."""
    import torch

    from graddiag import kernels

    if request.param == "plain":
        monkeypatch.setattr(kernels, "_loaded", lambda name: None)
        return "plain"
    pytest.importorskip("numba")
    for name in ("gru", "lstm", "rnn"):
        monkeypatch.setitem(kernels._DTYPES, name, (torch.float32, torch.float64))
    return "compiled"
