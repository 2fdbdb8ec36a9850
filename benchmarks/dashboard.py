"""How fast the dashboard is on big runs, in a real Chromium, against the bare read of the same columns.

Makes two roots under --folder once and keeps them: one run of 20,000 recorded steps x 200 timesteps x 2 layers with
every signal and gate of an LSTM, and 1,000 short runs. Prints a table: seconds until a page stands, bytes that came
over the network for it, and what the bare read of the columns it shows takes.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import numpy as np
import typer
from playwright.sync_api import Browser, Page, WebSocket, expect, sync_playwright

from graddiag import schema
from graddiag.overview import overview
from graddiag.run import RunManifest
from graddiag.store import RunWriter, load_run, root_fingerprint

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from screenshots import SWITCHES, chromium_path, free_port, serve

SETTLE_MS: Final = 600_000
AT_ONCE: Final = 50  # steps of the big run that are made at once
GATES: Final = schema.GATES["lstm"]
FOLDER: Final = Path(tempfile.gettempdir()) / "graddiag-bench"
KEYS: Final = [schema.STEP, schema.TIMESTEP]


@dataclass(frozen=True)
class Size:
    """What the big run is made of."""

    steps: int = 20_000
    timesteps: int = 200
    layers: int = 2
    runs: int = 1_000


@dataclass
class Traffic:
    """Bytes that a page received: frames of its websocket, and bodies over HTTP."""

    frames: int = 0
    bodies: int = 0
    seen: list[str] = field(default_factory=list)


def main(
    folder: Annotated[Path, typer.Option(help="Where the runs are made and kept")] = FOLDER,
    steps: Annotated[int, typer.Option(help="Recorded steps of the big run")] = Size.steps,
    runs: Annotated[int, typer.Option(help="Runs of the other root")] = Size.runs,
    repeats: Annotated[int, typer.Option(help="How often each page is opened")] = 3,
) -> None:
    size = Size(steps=steps, runs=runs)
    big, many = folder / "big", folder / "many"
    make_once(big, lambda: make_big(big, size))
    make_once(many, lambda: make_many(many, size))
    print(f"{'what':<58}{'seconds':>9}{'kB':>9}")
    for name, read in bare_reads(big / "big", many).items():
        print(f"{name:<58}{timed(read, repeats):>9.2f}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        with serve(big, free_port()) as url:
            for name, act in big_views(size).items():
                show(name, chromium, url, act, repeats)
        with serve(many, free_port()) as url:
            for name, act in {"1,000 runs: Runs page": lambda page, at: go(page, at + "/")}.items():
                show(name, chromium, url, act, repeats)


def make_once(root: Path, make: Callable[[], None]) -> None:
    done = root / ".done"
    if not done.exists():
        start = time.perf_counter()
        make()
        done.touch()
        print(f"made {root} in {time.perf_counter() - start:.0f} s")


def manifest(name: str, place: int, **fields: Any) -> RunManifest:
    return RunManifest(
        graddiag_version="0.1.0",
        id=name,
        name=name,
        loss_reduction="mean over batch and timesteps",
        task="text",
        model="lstm",
        created=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=place),
        **fields,
    )


def make_big(root: Path, size: Size) -> None:
    """A run whose gradients fade backwards, with noise and one step in 1,000 that explodes."""
    random = np.random.default_rng(0)
    with RunWriter(root, manifest("big", 0, clip="norm:1.0", arm="clip on", seed=0)) as writer:
        for first in range(0, size.steps, AT_ONCE):
            steps = np.arange(first, min(first + AT_ONCE, size.steps), dtype=np.int32)
            scale = np.exp(0.3 * random.standard_normal(len(steps))) * np.where(steps % 1000 == 617, 1e4, 1)
            writer.append(schema.TABLE_STEPS, scalars(steps, scale, random))
            writer.append(schema.TABLE_TIMESTEPS, signals(steps, scale, size, random))
            writer.append(schema.TABLE_GATES, gates(steps, size, random))


def scalars(steps: np.ndarray, scale: np.ndarray, random: np.random.Generator) -> dict[str, Any]:
    after = np.minimum(scale, 1.0)
    return {
        schema.STEP: steps,
        schema.LOSS: 4 * np.exp(-steps / 5000) + 0.05 * random.random(len(steps)),
        schema.GRAD_NORM: scale,
        schema.GRAD_NORM_CLIPPED: after,
        schema.CLIP_COEFFICIENT: after / scale,
        schema.NONFINITE: np.zeros(len(steps), np.int64),
        schema.LR: np.full(len(steps), 0.5),
        schema.WALL_TIME: steps * 0.01,
    }


def keys(steps: np.ndarray, size: Size, times: int = 1) -> dict[str, Any]:
    rows = size.layers * size.timesteps * times
    layers = np.repeat(np.arange(size.layers, dtype=np.int32), size.timesteps * times)
    timesteps = np.tile(np.repeat(np.arange(size.timesteps, dtype=np.int32), times), size.layers)
    return {
        schema.STEP: np.repeat(steps, rows),
        schema.MODULE: "lstm",
        schema.LAYER: np.tile(layers, len(steps)),
        schema.DIRECTION: "forward",
        schema.CALL: 0,
        schema.TIMESTEP: np.tile(timesteps, len(steps)),
    }


def signals(steps: np.ndarray, scale: np.ndarray, size: Size, random: np.random.Generator) -> dict[str, Any]:
    rows = (len(steps), size.layers, size.timesteps)
    fading = np.float32(0.97) ** np.arange(size.timesteps - 1, -1, -1, dtype=np.float32)
    names = [c.name for c in schema.TABLES[schema.TABLE_TIMESTEPS].columns if not c.key]
    found = {name: np.exp(0.2 * random.standard_normal(rows, dtype=np.float32)) for name in names}
    for name in (schema.GRAD_H, schema.GRAD_H_MAX, schema.GRAD_C, schema.GRAD_C_PATH, schema.GRAD_A, schema.GRAD_W_HH):
        found[name] *= fading * scale.astype(np.float32)[:, None, None]
    found[schema.GRAD_W_HH_COSINE] = np.tanh(random.standard_normal(rows, dtype=np.float32))
    return keys(steps, size) | {name: values.ravel() for name, values in found.items()}


def gates(steps: np.ndarray, size: Size, random: np.random.Generator) -> dict[str, Any]:
    count = len(steps) * size.layers * size.timesteps * len(GATES)
    measured = (schema.MEAN, schema.STD, schema.SATURATED_LOW, schema.SATURATED_HIGH)
    values = {name: random.random(count, dtype=np.float32) for name in measured}
    return {
        **keys(steps, size, len(GATES)),
        schema.GATE: np.tile(np.array(GATES), count // len(GATES)),
        **values,
    }


def make_many(root: Path, size: Size) -> None:
    random = np.random.default_rng(1)
    for place in range(size.runs):
        arm, clip = (("clip off", "none"), ("clip on", "norm:1.0"))[place % 2]
        config = {"lr": float(10.0 ** -random.integers(0, 4)), "hidden": int(2 ** random.integers(4, 8))}
        about = manifest(f"run-{place:04d}", place, experiment=f"sweep-{place // 100}", arm=arm, clip=clip, seed=place)
        with RunWriter(root, about.model_copy(update={"config": config})) as writer:
            steps = np.arange(200, dtype=np.int32)
            writer.append(schema.TABLE_STEPS, scalars(steps, np.exp(0.3 * random.standard_normal(200)), random))


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


def big_views(size: Size) -> dict[str, Callable[[Page, str], None]]:
    sections = ("through time", "training", "gates", "weights", "clipping")
    return {
        "big run: Runs page": lambda page, at: go(page, at + "/"),
        **{f"big run: Run page, {section}": partial(section_of_big, section=section, steps=()) for section in sections},
        "big run: Run page, through time, 100 steps": partial(section_of_big, section=sections[0], steps=(600, 700)),
    }


def section_of_big(page: Page, at: str, *, section: str, steps: tuple[int, ...]) -> None:
    go(page, f"{at}/run?" + urlencode([("run", "big"), ("section", section), *(("steps", step) for step in steps)]))


def go(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("Runs folder: ").wait_for(timeout=SETTLE_MS)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SETTLE_MS)


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
