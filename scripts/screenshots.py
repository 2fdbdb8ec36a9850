"""Pictures of the dashboard, light and dark, wide and narrow: ``scripts/screenshots.py --root runs --out shots``.

Starts a dashboard of its own over the runs under ROOT, opens every page in a headless Chromium and saves what it sees:
the table of runs, each section of one run and of the runs of an experiment compared, that experiment, a report to be
made, both forms of the Lab, every lesson. At a desk, on a tablet and on a phone, by day and by night.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import typer
from playwright.sync_api import Browser, expect, sync_playwright

from graddiag.overview import list_runs
from graddiag.schema import EXPERIMENT, RUN

APP: Final = Path(__file__).parents[1] / "dashboards" / "app.py"
SWITCHES: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLE_MS: Final = 60_000
SECTIONS: Final = ("through time", "training", "gates", "weights", "clipping", "health")

Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")


@dataclass(frozen=True)
class View:
    """One address of the dashboard and what its pictures are called."""

    name: str
    address: str


def main(
    root: Annotated[Path, typer.Option(help="Folder of the runs to show")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Folder for the pictures")] = Path("screenshots"),
    experiment: Annotated[str | None, typer.Option(help="Experiment to compare; the first one if left out")] = None,
    only: Annotated[str | None, typer.Option(help="Only pages whose names begin so: run, say, or lab")] = None,
    widths: Annotated[str, typer.Option(help="Widths in pixels")] = "1440,1024,390",
    port: Annotated[int, typer.Option(help="Port to serve on; 0 takes a free one")] = 0,
) -> None:
    """Takes the pictures; prints the path of each."""
    chosen = [view for view in views(root, experiment) if view.name.startswith(only or "")]
    out.mkdir(parents=True, exist_ok=True)
    with serve(root, port or free_port()) as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        for view, width, scheme in product(chosen, map(int, widths.split(",")), SCHEMES):
            path = out / f"{view.name.replace(' ', '-')}-{width}-{scheme}.png"
            take(chromium, url + view.address, path, width, scheme)
            typer.echo(path)


def chromium_path() -> str:
    found = shutil.which("chromium")
    if found is None:
        raise typer.BadParameter("chromium is not installed. Debian: apt-get install chromium")
    return found


def views(root: Path, experiment: str | None) -> list[View]:
    """Every page; those that show runs show one experiment, its first run and all of its runs side by side."""
    found = list_runs(root)
    name = experiment or next(iter(found[EXPERIMENT].dropna()), None)
    arms = list(found.loc[found[EXPERIMENT] == name, RUN])
    general = [
        View("runs", "/"),
        View("lab-pair", "/lab"),
        View("lab-preset", "/lab?kind=preset"),
        *(View(path.stem, f"/{path.stem}") for path in sorted((APP.parent / "pages").glob("learn_*.py"))),
    ]
    return [*general, *_of_runs(str(name), arms)] if arms else general


def _of_runs(experiment: str, arms: list[str]) -> list[View]:
    several = [(RUN, arm) for arm in arms]
    asked = {"run": several[:1], "compare": several}
    return [
        *(
            View(f"{page}-{section}", f"/{page}?" + urlencode([*query, ("section", section)]))
            for page, query in asked.items()
            for section in SECTIONS
        ),
        View("experiment", "/experiment?" + urlencode({EXPERIMENT: experiment})),
        View("report", "/report?" + urlencode(several)),
    ]


def take(chromium: Browser, url: str, path: Path, width: int, scheme: Scheme) -> None:
    """One picture of a whole page, however long."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(url)
    page.get_by_text(re.compile("^Runs folder: ")).wait_for(timeout=SETTLE_MS)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SETTLE_MS)
    page.wait_for_timeout(1000)
    height = page.get_by_test_id("stMainBlockContainer").evaluate(
        "box => Math.ceil(box.getBoundingClientRect().height)"
    )
    page.set_viewport_size({"width": width, "height": height + 60})
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    page.close()


@contextmanager
def serve(root: Path, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "streamlit", "run", str(APP), f"--server.port={port}", "--", "--root", str(root)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not healthy(url):
            if server.poll() is not None:
                raise typer.BadParameter(f"the dashboard did not start on port {port}; is it taken?")
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


if __name__ == "__main__":
    typer.run(main)
