"""write_report: runs in, a report out, in the format that the suffix says."""

from collections.abc import Collection, Sequence
from pathlib import Path

from graddiag.deprecation import renamed_argument
from graddiag.errors import InputError, SettingError
from graddiag.report.chapters import document
from graddiag.report.formats import SUFFIXES, ReportFormat, format_of
from graddiag.report.request import OnProgress, ignore_progress, request
from graddiag.run import Run


@renamed_argument("tell", "on_progress")
def write_report(
    runs: Sequence[Run],
    path: Path | str,
    *,
    sections: Collection[str] | None = None,
    title: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Writes a report on ``runs`` to ``path`` and gives the path; the suffix says the format.

    ``.html``: one file that opens offline, with figures to zoom and to ask. ``.md``: Markdown, and its figures as PNG
    in a folder beside it, ``report-figures`` for ``report.md``. ``.pdf``: A4 with contents and page numbers, figures as
    vectors. The last two need kaleido and Chromium (``pip install 'graddiag[figures]'``).

    All hold the question with the runs, and these sections: verdict and advice, the evidence, the comparison of the
    runs, methods, configuration. The report is put in place whole or not at all; as HTML the same runs give the same
    bytes.

    Args:
        sections: names of ``graddiag.report.SECTIONS``, where not all are wanted.
        title: above the report; by default the experiment's or the run's name.
        on_progress: called with what is being done, in a few words, each time that something new is.

    Raises:
        SettingError: no run, a suffix or a section that is not known.
        InputError: the file cannot be written there.
        RunFormatError: a run is damaged.
        MissingLibraryError: kaleido or Chromium is not installed.
        BrowserError: Chromium failed.
    """
    target = Path(path)
    asked = request(sections, title, on_progress)
    form = _checked(runs, target)
    try:
        form.load()(document(runs, asked), target, on_progress)
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {target}: {error.strerror or error}; name a place that can be written"
        ) from error
    return target


def _checked(runs: Sequence[Run], target: Path) -> ReportFormat:
    """The format of ``target``, which can be written."""
    if not runs:
        raise SettingError(f"a report was asked for, {target}, but no run was given; name at least one run folder")
    form = format_of(target)
    if form is None:
        raise SettingError(
            f"a report was asked for as {target.name!r}, and its suffix has to be one of {', '.join(SUFFIXES)}: "
            f"{target.stem or 'report'}.html"
        )
    if target.is_dir() or not target.parent.is_dir():
        what = "is a folder" if target.is_dir() else f"lies in {target.parent}, which is not a folder"
        raise InputError(f"the report cannot be written to {target}: it {what}; name a file in a folder that exists")
    return form
