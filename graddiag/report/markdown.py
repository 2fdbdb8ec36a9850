"""A document as Markdown, with its figures as PNG and their numbers as CSV in a folder beside it."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from graddiag.chromium import ImageSize, chromium
from graddiag.errors import InputError
from graddiag.report.content import Document
from graddiag.report.escape import escaped, fenced
from graddiag.report.plots import Picture, printable
from graddiag.report.request import OnProgress
from graddiag.store import replace_text

WIDTH: Final = 800  # CSS pixels of a figure; its PNG has twice as many

_BLANK_LINES: Final = re.compile(r"\n{3,}")
_OWN: Final = re.compile(r"chapter-\d+-[a-z0-9-]+\.(png|csv)")

_TEMPLATES: Final = Environment(
    loader=PackageLoader("graddiag.report"),
    autoescape=True,  # so that what a macro gives is known to be Markdown already
    finalize=escaped,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"fenced": fenced, "markdown": Markup}


def render_markdown(document: Document, folder: str) -> str:
    """``document`` as Markdown; its figures are ``folder``/ID.png, their numbers ID.csv. What a user wrote is text."""
    text = _TEMPLATES.get_template("report.md.j2").render(document=document, folder=Markup(quote(folder)))
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"


def figures_folder(target: Path) -> Path:
    """Where the figures of the report ``target`` lie: ``report-figures`` for ``report.md``."""
    return target.with_name(f"{target.stem}-figures")


def write_markdown(document: Document, target: Path, on_progress: OnProgress) -> None:
    """Writes ``target`` and its folder of figures; both are new, or both are as they were.

    Raises:
        InputError: there is a folder of that name, and not one of a report.
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
        OSError: it cannot be written.
    """
    folder = figures_folder(target)
    _check_own(folder)
    aside = folder.with_name(f".{folder.name[:60]}.{uuid4().hex[:8]}.tmp")
    try:
        aside.mkdir()
        if document.pictures:
            _draw(document.pictures, aside, on_progress)
            for each in document.pictures:
                if each.csv is not None:
                    (aside / f"{each.id}.csv").write_text(each.csv(), encoding="utf-8", newline="")
        with _swapped(aside, folder):
            replace_text(target, render_markdown(document, folder.name))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _draw(pictures: Sequence[Picture], folder: Path, on_progress: OnProgress) -> None:
    on_progress("starting Chromium")
    with chromium("a report as Markdown") as browser:
        for each in pictures:
            on_progress(f"drawing {each.title}")
            image = browser.image(printable(each, WIDTH), "png", ImageSize(WIDTH, each.height))
            (folder / f"{each.id}.png").write_bytes(image)


def _check_own(folder: Path) -> None:
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if not _OWN.fullmatch(path.name))
    else:
        others = [folder.name] if folder.exists() else []
    if others:
        raise InputError(
            f"the figures of the report belong into {folder}, and something else is there already ({others[0]}); "
            "give the report another name"
        )


@contextmanager
def _swapped(new: Path, folder: Path) -> Iterator[None]:
    """``new`` in the place of ``folder``; as it was before, if the ``with`` fails."""
    old = new.with_name(f"{new.name}.old")
    if folder.exists():
        folder.rename(old)
    try:
        if any(new.iterdir()):
            new.rename(folder)
        yield
    except OSError:
        if folder.exists():
            folder.rename(new)
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
