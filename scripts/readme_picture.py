"""The picture of the README: ``scripts/readme_picture.py --root runs``, over the runs of ``graddiag demo``.

Two trainings of the demonstration on the Compare page, down to the curves and heatmaps.
"""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import typer
from playwright.sync_api import sync_playwright
from screenshots import SWITCHES, chromium_path, free_port, serve, take

RUNS: Final = ("demo-order-30-rnn/rnn-none-seed0", "demo-order-30-rnn/rnn-norm-1.0-seed0")
WIDTH: Final = 1200


def main(
    root: Annotated[Path, typer.Option(help="Folder of the demonstration's runs")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Where the picture goes")] = Path("docs/images/compare.png"),
    height: Annotated[int, typer.Option(help="How much of the page, in pixels")] = 870,
) -> None:
    from PIL import Image

    address = "/compare?" + urlencode([("run", run) for run in RUNS])
    with serve(root, free_port()) as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=list(SWITCHES))
        take(chromium, url + address, out, WIDTH, "light")
    with Image.open(out) as page:
        page.convert("RGB").crop((0, 0, WIDTH, height)).save(out, optimize=True)
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)
