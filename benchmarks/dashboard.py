"""How fast the dashboard is on big runs, in a real Chromium, against the bare read of the same columns.

Makes three roots under --folder once and keeps them: one run of 20,000 recorded steps x 200 timesteps x 2 layers with
every signal and gate of an LSTM, a pair of such runs, and 1,000 short ones. Prints a table: seconds until a page
stands, bytes that came over the network for it, and what the bare read of the columns it shows takes.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import numpy as np
import typer
from playwright.sync_api import Browser, Page, WebSocket, expect, sync_playwright

from benchmarks._long_run import Size, make_run, manifest, scalars
from graddiag import schema
from graddiag.overview import overview
from graddiag.store import RunWriter, load_run, root_fingerprint
from scripts.screenshots import DRAWN, SECTIONS, SWITCHES, chromium_path, free_port, serve

SETTLE_MS: Final = 600_000
RUNS: Final = 1_000
FOLDER: Final = Path(tempfile.gettempdir()) / "graddiag-bench"
ARMS: Final = (("off", "clip off", "none"), ("on", "clip on", "norm:1.0"))
KEYS: Final = [schema.STEP, schema.TIMESTEP]


@dataclass
class Traffic:
    """Bytes that a page received in the frames of its websockets."""

    frames: int = 0


def main(
    folder: Annotated[Path, typer.Option(help="Where the runs are made and kept")] = FOLDER,
    steps: Annotated[int, typer.Option(help="Recorded steps of the big run")] = Size.steps,
    runs: Annotated[int, typer.Option(help="Runs of the other root")] = RUNS,
    repeats: Annotated[int, typer.Option(help="How often each page is opened")] = 3,
) -> None:
    size, big, many = Size(steps=steps), folder / "big", folder / f"{runs}-runs"
    make_run(big, size, "big")
    pair = make_pair(folder / "pair", size)
    make_many(many, runs)
    print(f"{'what':<58}{'seconds':>9}{'kB':>9}")
    for name, read in bare_reads(big / "big", many).items():
        print(f"{name:<58}{timed(read, repeats):>9.2f}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        with serve(big, free_port()) as url:
            for name, act in big_views().items():
                show(name, chromium, url, act, repeats)
        with serve(pair, free_port()) as url:
            for name, act in views_of_a_pair().items():
                show(name, chromium, url, act, repeats)
        with serve(many, free_port()) as url:
            for name, act in {"1,000 runs: Runs page": lambda page, at: go(page, at + "/")}.items():
                show(name, chromium, url, act, repeats)


def make_pair(root: Path, size: Size) -> Path:
    """Two such runs, one an arm, under ``root``."""
    for place, (name, arm, clip) in enumerate(ARMS):
        make_run(root, size, name, place=place, experiment="pair", arm=arm, clip=clip)
    return root


def make_many(root: Path, runs: int) -> None:
    if (root / ".done").exists():
        return
    random = np.random.default_rng(1)
    for place in range(runs):
        arm, clip = (("clip off", "none"), ("clip on", "norm:1.0"))[place % 2]
        config = {"lr": float(10.0 ** -random.integers(0, 4)), "hidden": int(2 ** random.integers(4, 8))}
        about = {"experiment": f"sweep-{place // 100}", "arm": arm, "clip": clip, "seed": place, "config": config}
        with RunWriter(root, manifest(f"run-{place:04d}", place, **about)) as writer:
            steps = np.arange(200, dtype=np.int32)
            writer.append(schema.TABLE_STEPS, scalars(steps, np.exp(0.3 * random.standard_normal(200)), random))
    (root / ".done").touch()


def bare_reads(big: Path, many: Path) -> dict[str, Callable[[], object]]:
    """What the store takes for the columns of a picture, without binning, drawing or a browser."""
    run = load_run(big)
    where = {schema.MODULE: "lstm", schema.LAYER: 0, schema.DIRECTION: "forward", schema.CALL: 0}
    columns = [*KEYS, schema.GRAD_H]
    near = {**where, schema.STEP: range(600, 700)}
    return {
        "read: a signal of a layer, all steps": lambda: run.read("timesteps", columns=columns, where=where),
        "read: the same, 100 steps": lambda: run.read("timesteps", columns=columns, where=near),
        "read: loss and norms": lambda: run.read("steps"),
        "read: 1,000 runs listed": lambda: overview(many),
        "read: whether any of 1,000 runs has changed": lambda: root_fingerprint(many),
    }


def timed(work: Callable[[], object], repeats: int) -> float:
    """The median of ``repeats`` times, after one that is not counted."""
    work()
    return statistics.median(elapsed(work) for _ in range(repeats))


def elapsed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def big_views() -> dict[str, Callable[[Page, str], None]]:
    return {
        "big run: Runs page": lambda page, at: go(page, at + "/"),
        **{f"big run: Run page, {section}": partial(visit, "run", ["big"], section=section) for section in SECTIONS},
        "big run: Run page, through time, 100 steps": partial(visit, "run", ["big"], steps=(600, 700)),
    }


def views_of_a_pair() -> dict[str, Callable[[Page, str], None]]:
    both = [f"pair/{name}" for name, *_ in ARMS]
    return {
        **{f"pair: Compare page, {section}": partial(visit, "compare", both, section=section) for section in SECTIONS},
        "pair: Experiment page": lambda page, at: go(page, at + "/experiment?experiment=pair"),
        "pair: Report page with a preview": partial(preview, both),
    }


def visit(
    name: str, runs: Sequence[str], page: Page, at: str, *, section: str = SECTIONS[0], steps: Sequence[int] = ()
) -> None:
    """A section of the page of that ``name`` for ``runs``, perhaps zoomed to ``steps``."""
    query = [*(("run", run) for run in runs), ("section", section), *(("steps", str(step)) for step in steps)]
    go(page, f"{at}/{name}?" + urlencode(query))


def preview(runs: Sequence[str], page: Page, at: str) -> None:
    """Makes the report, too, at every visit."""
    go(page, f"{at}/report?" + urlencode([*(("run", run) for run in runs), ("preview", "true")]))
    page.frame_locator("iframe").get_by_role("heading", level=1).wait_for(timeout=SETTLE_MS)


def go(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("Runs folder: ").wait_for(timeout=SETTLE_MS)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SETTLE_MS)
    page.wait_for_function(DRAWN, timeout=SETTLE_MS)


def show(name: str, chromium: Browser, url: str, act: Callable[[Page, str], None], repeats: int) -> None:
    """One line: the first visit, which computes, then the median of later ones."""
    for label, times in (("first", 1), ("again", repeats)):
        with traffic(chromium) as (page, received):
            seconds = statistics.median(elapsed(lambda: act(page, url)) for _ in range(times))
            print(f"{name + ', ' + label:<58}{seconds:>9.2f}{received.frames / times / 1000:>9.0f}", flush=True)


@contextmanager
def traffic(chromium: Browser) -> Iterator[tuple[Page, Traffic]]:
    """A fresh page, and what comes to it over its websockets; the program of the page itself, which the browser keeps,
    is not counted."""
    page, received = chromium.new_page(viewport={"width": 1440, "height": 900}), Traffic()

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: setattr(received, "frames", received.frames + len(frame)))

    page.on("websocket", listen)
    try:
        yield page, received
    finally:
        page.close()


if __name__ == "__main__":
    typer.run(main)
