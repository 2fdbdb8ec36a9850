"""Pictures of the dashboard, light and dark, wide and narrow: ``scripts/screenshots.py --root runs --out shots``.

Starts a dashboard of its own over the runs under ROOT, opens every page in a headless Chromium and saves what it sees:
the table of runs, each section of one run and of the runs of an experiment compared, that experiment, a report to be
made and its preview, both forms of the Lab, every lesson; then the pages of a folder without runs, and the report
itself. At a desk, on a tablet and on a phone, by day and by night.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import typer
from playwright.sync_api import Browser, expect, sync_playwright

from graddiag.overview import list_runs
from graddiag.report import write_report
from graddiag.schema import EXPERIMENT, RUN
from graddiag.store import load_run

APP: Final = Path(__file__).parents[1] / "dashboards" / "app.py"
SWITCHES: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLE_MS: Final = 60_000
# whether every picture has been drawn
DRAWN: Final = """() => [...document.querySelectorAll("[data-testid=stBidiComponentRegular]")].every(
    place => place.closest(".st-key-follow_theme") || place.querySelector(".graddiag-chart[aria-busy=false]"))"""
SECTIONS: Final = ("through time", "training", "gates", "weights", "clipping", "health")

Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")


@dataclass(frozen=True)
class View:
    """One address of the dashboard and what its pictures are called."""

    name: str
    address: str


EMPTY: Final = [View(f"empty-{name or 'runs'}", f"/{name}") for name in ("", "run", "compare", "experiment", "report")]


def main(
    root: Annotated[Path, typer.Option(help="Folder of the runs to show")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Folder for the pictures")] = Path("screenshots"),
    experiment: Annotated[str | None, typer.Option(help="Experiment to compare; the first one if left out")] = None,
    only: Annotated[str | None, typer.Option(help="Only pages whose names begin so: run, say, or lab")] = None,
    widths: Annotated[str, typer.Option(help="Widths in pixels")] = "1440,1024,390",
    port: Annotated[int, typer.Option(help="Port to serve on; 0 takes a free one")] = 0,
) -> None:
    """Takes the pictures; prints the path of each."""
    out.mkdir(parents=True, exist_ok=True)
    sizes = [(int(width), scheme) for width, scheme in product(widths.split(","), SCHEMES)]
    with sync_playwright() as playwright, TemporaryDirectory() as empty:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        for served, found in ((root, views(root, experiment)), (Path(empty), EMPTY)):
            chosen = [view for view in found if view.name.startswith(only or "")]
            if not chosen:
                continue
            with serve(served, port or free_port()) as url:
                for view, (width, scheme) in product(chosen, sizes):
                    path = out / f"{view.name.replace(' ', '-')}-{width}-{scheme}.png"
                    take(chromium, url + view.address, path, width, scheme)
                    typer.echo(path)
        if "file".startswith(only or "file"):
            for path in take_file(chromium, root, experiment, out, sizes):
                typer.echo(path)


def chromium_path() -> str:
    found = shutil.which("chromium")
    if found is None:
        raise typer.BadParameter("chromium is not installed. Debian: apt-get install chromium")
    return found


def views(root: Path, experiment: str | None) -> list[View]:
    """Every page; those that show runs show one experiment, its first run and all of its runs side by side."""
    name, arms = runs_of(root, experiment)
    general = [
        View("runs", "/"),
        View("lab-pair", "/lab"),
        View("lab-preset", "/lab?kind=preset"),
        *(View(path.stem, f"/{path.stem}") for path in sorted((APP.parent / "pages").glob("learn_*.py"))),
    ]
    return [*general, *_of_runs(str(name), arms)] if arms else general


def runs_of(root: Path, experiment: str | None) -> tuple[str | None, list[str]]:
    """``experiment``, or the first one of the root; and its runs."""
    found = list_runs(root)
    name = experiment or next(iter(found[EXPERIMENT].dropna()), None)
    return name, list(found.loc[found[EXPERIMENT] == name, RUN])


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
        View("report-preview", "/report?" + urlencode([*several, ("preview", "true")])),
    ]


def take(chromium: Browser, url: str, path: Path, width: int, scheme: Scheme) -> None:
    """One picture of a whole page, however long."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(url)
    page.get_by_text(re.compile("^Runs folder: ")).wait_for(timeout=SETTLE_MS)
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SETTLE_MS)
    page.wait_for_function(DRAWN, timeout=SETTLE_MS)
    if "preview=true" in url:
        page.frame_locator("iframe").get_by_role("heading", level=1).wait_for(timeout=SETTLE_MS)
    page.wait_for_timeout(1000)
    height = page.get_by_test_id("stMainBlockContainer").evaluate(
        "box => Math.ceil(box.getBoundingClientRect().height)"
    )
    page.set_viewport_size({"width": width, "height": height + 60})
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    page.close()


def take_file(
    chromium: Browser, root: Path, experiment: str | None, out: Path, sizes: Sequence[tuple[int, Scheme]]
) -> Iterator[Path]:
    """The report on the runs of ``experiment`` as a file, and pictures of all of it."""
    _, runs = runs_of(root, experiment)
    report = write_report([load_run(root / run) for run in runs], out / "report.html")
    for width, scheme in sizes:
        path = out / f"file-{width}-{scheme}.png"
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto(report.absolute().as_uri())
        page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
        page.wait_for_timeout(5000)  # every figure is drawn as it comes into view
        page.screenshot(path=path)
        page.close()
        yield path


@contextmanager
def serve(root: Path, port: int) -> Iterator[str]:
    command = [
        sys.executable,
        "-P",
        "-m",
        "streamlit",
        "run",
        str(APP),
        f"--server.port={port}",
        "--",
        "--root",
        str(root),
    ]
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
