"""The report of a preset: one HTML file that opens offline, with its figures and tables beside it."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graddiag.chromium import ImageSize, chromium
from graddiag.errors import InputError
from graddiag.report.content import ReportGrid, ReportPart
from graddiag.report.html import page
from graddiag.report.plots import Picture, figures_json, printable
from graddiag.report.request import OnProgress, ignore_progress
from graddiag.store import replace_file, replace_text, slug

WIDTH = 800  # CSS pixels of a figure; its PNG has twice as many


@dataclass(frozen=True)
class PresetReport:
    """What is in it: the question and its source, what was seen, the pictures, the settings, and how to repeat it."""

    title: str
    about: str
    source: str
    seen: tuple[str, ...]
    parts: tuple[ReportPart, ...]
    settings: ReportGrid
    command: str
    runs: tuple[str, ...]
    graddiag_version: str

    @property
    def pictures(self) -> Sequence[Picture]:
        return [picture for part in self.parts for picture in part.pictures]

    @property
    def tables(self) -> Sequence[ReportGrid]:
        return [grid for part in self.parts for grid in part.tables]


def write_preset_report(
    report: PresetReport, folder: Path, *, png: bool = False, on_progress: OnProgress = ignore_progress
) -> Path:
    """Writes ``folder/report.html`` and, beside it, every figure as JSON (``plotly.io.read_json``) in ``figures`` and
    every table as CSV in ``tables``; gives the path of the report. What is there from before is replaced.

    Args:
        png: every figure as PNG too; that needs kaleido and Chromium.

    Raises:
        InputError: it cannot be written there.
        MissingLibraryError: ``png``, and kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
    """
    target = folder / "report.html"
    try:
        for name in ("figures", "tables"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for grid in report.tables:
            replace_text(folder / "tables" / f"{slug(grid.caption, fallback='table')}.csv", _csv(grid))
        for each in report.pictures:
            replace_text(folder / "figures" / f"{_name(each)}.json", json.dumps(printable(each, WIDTH)))
        if png:
            _draw(report.pictures, folder / "figures", on_progress)
        replace_text(target, render_preset_report(report))
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {folder}: {error.strerror or error}; name a folder that can be written"
        ) from error
    return target


def render_preset_report(report: PresetReport) -> str:
    """``report`` as HTML. Whatever came from a user is text in it; nothing is fetched."""
    return page("preset_report", report, figures_json(report.pictures), packs=True)


def _draw(pictures: Sequence[Picture], folder: Path, on_progress: OnProgress) -> None:
    on_progress("starting Chromium")
    with chromium("figures as PNG") as browser:
        for each in pictures:
            on_progress(f"drawing {each.title}")
            image = browser.image(printable(each, WIDTH), "png", ImageSize(WIDTH, each.height))
            replace_file(folder / f"{_name(each)}.png", lambda aside, image=image: aside.write_bytes(image))  # type: ignore[misc]


def _name(each: Picture) -> str:
    return each.place.chapter


def _csv(grid: ReportGrid) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([grid.columns, *grid.rows])
    return text.getvalue()
