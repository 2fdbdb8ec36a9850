"""A report as the bytes of one file, for whoever sends it on: Markdown and its figures become a ZIP."""

import io
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from graddiag.errors import SettingError
from graddiag.report.formats import FORMATS, FORMS
from graddiag.report.request import OnProgress, ignore_progress
from graddiag.report.write import write_report
from graddiag.run import Run
from graddiag.store import slug

_NAMED: Final = 3  # experiments and runs in the name of a file
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # so that equal reports give equal bytes


@dataclass(frozen=True)
class Packed:
    """A report in one file: its name, its media type, its bytes."""

    name: str
    mime: str
    content: bytes


def pack_report(
    runs: Sequence[Run],
    form: str,
    *,
    sections: Collection[str] | None = None,
    title: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Packed:
    """``write_report``, but the report is given instead of written; Markdown comes as a ZIP with its figures. ``form``:
    html, md or pdf.

    Raises:
        SettingError, RunFormatError, MissingLibraryError, BrowserError: as ``write_report``.
    """
    known = next((each for each in FORMATS if each.name == form), None)
    if known is None:
        raise SettingError(f"a report was asked for as {form!r}, which is no format; use one of {', '.join(FORMS)}.")
    with TemporaryDirectory(prefix="graddiag-") as folder:
        path = write_report(
            runs, Path(folder) / f"report.{form}", sections=sections, title=title, on_progress=on_progress
        )
        content = _zipped(Path(folder)) if known.several else path.read_bytes()
    suffix = ".zip" if known.several else known.suffix
    return Packed(f"{_named(runs, title)}{suffix}", known.mime, content)


def _named(runs: Sequence[Run], title: str | None) -> str:
    """A file name that says what the report is on: its title, else the experiment and, of one run, the run."""
    if title is not None:
        return slug(title, fallback="report")
    experiments = dict.fromkeys(run.manifest.experiment for run in runs if run.manifest.experiment)
    names = [*experiments, *(run.name for run in runs if len(runs) == 1 or not run.manifest.experiment)]
    more = f"-and-{len(names) - _NAMED}-more" if len(names) > _NAMED else ""
    return slug(f"{'-'.join(names[:_NAMED])}{more}-report", fallback="report")


def _zipped(folder: Path) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH), path.read_bytes())
    return held.getvalue()
