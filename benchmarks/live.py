"""How soon an open page shows what a run has written: from the end of a flush to the change on the page.

A run grows by some steps at a time, and a page in a headless Chromium is asked every few milliseconds whether it shows
them; likewise how soon the Runs page has a run that has just begun. Prints the smallest, the median and the largest of
all times.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks._long_run import Size, append, manifest
from benchmarks.dashboard import go
from graddiag.store import RunWriter
from scripts.screenshots import SWITCHES, chromium_path, free_port, serve

SIZE: Final = Size(timesteps=50, layers=1)
AT_ONCE: Final = 10  # steps of a flush
BEFORE: Final = 200  # steps that the run has when its page is opened
POLL_MS: Final = 10
SETTLE_MS: Final = 60_000
SLIDER: Final = "last => document.querySelector('input[aria-label=Step]')?.max === String(last)"
RUNS: Final = "count => document.body.innerText.includes(count)"
PICTURE: Final = """last => [...document.querySelectorAll('.js-plotly-plot')].some(
    plot => plot._fullLayout?.xaxis.range?.[1] >= last)"""


def main(times: Annotated[int, typer.Option(help="How often each is measured")] = 20) -> None:
    print(f"{'what':<44}{'least s':>9}{'median s':>10}{'most s':>9}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        for name, measure in MEASURED.items():
            with tempfile.TemporaryDirectory() as folder, serve(Path(folder), free_port()) as url:
                took = list(measure(chromium, url, Path(folder), times))
            print(f"{name:<44}{min(took):>9.2f}{statistics.median(took):>10.2f}{max(took):>9.2f}", flush=True)


def begun(chromium: Browser, url: str, root: Path, times: int) -> Iterator[float]:
    """A run begins while the Runs page is open."""
    page = chromium.new_page()
    write(root, "first", AT_ONCE)
    go(page, url)
    for number in range(2, times + 2):
        write(root, f"run-{number}", AT_ONCE)
        yield shown(page, RUNS, f"{number} runs")
    page.close()


def grown(section: str, sign: str) -> Callable[[Browser, str, Path, int], Iterator[float]]:
    """A run grows while a ``section`` of its page is open; ``sign`` tells whether it shows a step."""

    def measure(chromium: Browser, url: str, root: Path, times: int) -> Iterator[float]:
        random, page = np.random.default_rng(0), chromium.new_page()
        with RunWriter(root, manifest("growing")) as writer:
            append(writer, np.arange(BEFORE, dtype=np.int32), SIZE, random)
            writer.flush()
            go(page, f"{url}/run?run=growing&section={section}")
            for first in range(BEFORE, BEFORE + times * AT_ONCE, AT_ONCE):
                append(writer, np.arange(first, first + AT_ONCE, dtype=np.int32), SIZE, random)
                writer.flush()
                yield shown(page, sign, first + AT_ONCE - 1)
        page.close()

    return measure


MEASURED: Final = {
    "Runs: a run that has begun": begun,
    "Run, through time: the slider": grown("through time", SLIDER),
    "Run, training: a picture": grown("training", PICTURE),
}


def write(root: Path, name: str, steps: int) -> None:
    with RunWriter(root, manifest(name)) as writer:
        append(writer, np.arange(steps, dtype=np.int32), SIZE, np.random.default_rng(0))


def shown(page: Page, sign: str, value: object) -> float:
    """Seconds from now until ``sign`` holds of ``value`` on the page."""
    start = time.perf_counter()
    page.wait_for_function(sign, arg=value, polling=POLL_MS, timeout=SETTLE_MS)
    return time.perf_counter() - start


if __name__ == "__main__":
    typer.run(main)
