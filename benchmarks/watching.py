"""Whether a page that stays open leaks: the Runs page and a run's page, while the run grows and while nothing happens.

Every so often it asks Chromium to collect its garbage and prints, for each page, the JavaScript heap, the nodes and the
event listeners that are left, and the resident size of the server with the files that it read. A leak is a number that
rises for as long as one looks; what a longer run takes is a number that rises while the run grows.
"""

import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from playwright.sync_api import CDPSession, sync_playwright

from benchmarks._long_run import Size, append, manifest
from benchmarks.dashboard import go
from graddiag.store import RunWriter
from scripts.screenshots import SWITCHES, chromium_path, free_port, serve

SIZE: Final = Size(timesteps=50, layers=1)
AT_ONCE: Final = 10  # steps that are written at once
PAGES: Final = {"runs": "/", "run": "/run?run=growing&section={}"}


def main(
    grow: Annotated[float, typer.Option(help="Minutes in which the run grows")] = 10,
    rest: Annotated[float, typer.Option(help="Minutes after that in which nothing happens")] = 10,
    every: Annotated[float, typer.Option(help="Seconds from one reading to the next")] = 60,
    rate: Annotated[float, typer.Option(help="Steps that the run grows by in a second")] = 20,
    section: Annotated[str, typer.Option(help="Section of the run's page")] = "through time",
) -> None:
    heads = [f"{name} {what}" for name in PAGES for what in ("heap MB", "nodes", "listeners")]
    print(f"{'minute':<8}{'phase':<7}" + "".join(f"{head:>16}" for head in [*heads, "server MB"]))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        root, start = Path(folder), time.monotonic()
        with RunWriter(root, manifest("growing")) as writer, serve(root, free_port()) as url:
            append(writer, np.arange(AT_ONCE, dtype=np.int32), SIZE, np.random.default_rng(0))
            pages = [chromium.new_page(viewport={"width": 1440, "height": 900}) for _ in PAGES]
            for page, address in zip(pages, PAGES.values(), strict=True):
                go(page, url + address.format(section))
            sessions = [page.context.new_cdp_session(page) for page in pages]
            for phase, minutes in (("grow", grow), ("rest", rest)):
                with growing(writer, rate if phase == "grow" else 0):
                    for _ in range(round(60 * minutes / every)):
                        pages[0].wait_for_timeout(1000 * every)
                        figures = [figure for session in sessions for figure in left(session)]
                        shown = "".join(f"{figure:>16.0f}" for figure in [*figures, server_mb()])
                        print(f"{(time.monotonic() - start) / 60:<8.1f}{phase:<7}{shown}", flush=True)


@contextmanager
def growing(writer: RunWriter, rate: float) -> Iterator[None]:
    """The run grows by ``rate`` steps a second meanwhile."""
    done, random = threading.Event(), np.random.default_rng(0)

    def write() -> None:
        first = AT_ONCE
        while not done.wait(AT_ONCE / rate):
            append(writer, np.arange(first, first + AT_ONCE, dtype=np.int32), SIZE, random)
            first += AT_ONCE

    thread = threading.Thread(target=write)
    if rate:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if rate:
            thread.join()


def left(session: CDPSession) -> tuple[float, int, int]:
    """Of one page, after its garbage was collected: MB of heap, nodes, listeners."""
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    counted = session.send("Memory.getDOMCounters")
    return heap / 1e6, counted["nodes"], counted["jsEventListeners"]


def server_mb() -> float:
    """The resident size of the dashboard's server, a child of this process (Linux)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    servers = [each for each in children if b"streamlit" in Path(f"/proc/{each}/cmdline").read_bytes()]
    status = Path(f"/proc/{servers[0]}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


if __name__ == "__main__":
    typer.run(main)
