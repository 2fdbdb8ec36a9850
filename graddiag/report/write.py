"""write_report: runs in, one self-contained file out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from graddiag.errors import InputError, SettingError
from graddiag.report.chapters import document
from graddiag.report.html import render
from graddiag.run import Run
from graddiag.store import replace_text

SUFFIXES: Final = (".html",)


def write_report(runs: Sequence[Run], path: Path | str) -> Path:
    """Writes a report on ``runs`` to ``path``; the suffix, .html, says the format. Gives the path.

    The file opens offline and holds all it shows: question, verdicts with evidence and advice, comparison, figures,
    methods and configuration. The same runs give the same bytes. It is put in place whole or not at all.

    Raises:
        SettingError: no run, or a suffix that is not known.
        InputError: the file cannot be written there.
        RunFormatError: a run is damaged.
    """
    target = Path(path)
    if not runs:
        raise SettingError(f"a report was asked for, {target}, but no run was given; name at least one run folder")
    if target.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"a report was asked for as {target.name!r}, and its suffix has to be {' or '.join(SUFFIXES)}: "
            f"{target.stem or 'report'}.html"
        )
    if target.is_dir() or not target.parent.is_dir():
        what = "is a folder" if target.is_dir() else f"lies in {target.parent}, which is not a folder"
        raise InputError(f"the report cannot be written to {target}: it {what}; name a file in a folder that exists")
    try:
        replace_text(target, render(document(runs)))
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {target}: {error.strerror or error}; name a place that can be written"
        ) from error
    return target
