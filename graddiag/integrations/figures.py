"""Every figure of a run's report as files for a paper: PNG, SVG, PDF, and the JSON that plotly opens."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

from graddiag.chromium import ImageFormat, ImageSize, chromium
from graddiag.errors import SettingError
from graddiag.integrations.target import new_folder
from graddiag.report.chapters import document
from graddiag.report.plots import Picture, printable
from graddiag.report.request import OnProgress, ReportRequest, ignore_progress
from graddiag.run import Run

FORMATS: Final[tuple[ImageFormat, ...]] = get_args(ImageFormat)
WIDTH: Final = 672  # CSS pixels: the seven inches of a page's text
_NARROW: Final = 200


def export(
    run: Run,
    target: Path | str,
    *,
    formats: Collection[str] = FORMATS,
    width: int = WIDTH,
    force: bool = False,
    on_progress: OnProgress = ignore_progress,
) -> None:
    """Writes ``target/loss.png``, ``loss.svg``, ``loss.pdf``, ``loss.json`` and so on: all figures of the run's report.

    They are in light colours on white, without a title. A name is that of the figure, with the layer that it is about
    where there is one (``heat-encoder.lstm-layer-0-forward``), and the same for each export of a run. The JSON, which
    is always there, is the figure itself: ``plotly.io.read_json(path)``.

    Args:
        formats: png, svg, pdf, or some of them.
        width: in CSS pixels, 96 an inch; a PNG has twice as many. The height is the figure's own.

    Raises:
        SettingError: ``target`` is there already (and, with ``force``, is no export); an unknown format; a width below
            200.
        InputError: it cannot be written.
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
    """
    wanted = _checked(formats, width)
    with new_folder(run, target, "figures", force=force) as folder:
        pictures = document([run], ReportRequest(frozenset({"evidence"}), on_progress=on_progress)).pictures
        on_progress("starting Chromium")
        with chromium("an export of figures") as browser:
            for name, each in _named(pictures):
                on_progress(f"drawing {name}")
                plain = printable(each, width)
                (folder / f"{name}.json").write_text(json.dumps(plain), encoding="utf-8")
                for form in wanted:
                    image = browser.image(plain, form, ImageSize(width, each.height))
                    (folder / f"{name}.{form}").write_bytes(image)


def _checked(formats: Collection[str], width: int) -> list[ImageFormat]:
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        found = f"there is no {unknown[0]!r}" if unknown else "none was named"
        raise SettingError(f"formats of figures: {found}; name some of {', '.join(FORMATS)}.")
    if width < _NARROW:
        raise SettingError(f"width {width}: a figure has to be {_NARROW} pixels wide or more, 96 an inch.")
    return [form for form in FORMATS if form in formats]


def _named(pictures: Sequence[Picture]) -> Iterator[tuple[str, Picture]]:
    """Each picture with the name of its file; a name that an earlier one has gets a number."""
    taken: dict[str, int] = {}
    for each in pictures:
        name = each.place.file
        taken[name] = taken.get(name, 0) + 1
        yield (name if taken[name] == 1 else f"{name}-{taken[name]}"), each
