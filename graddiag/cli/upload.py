"""``graddiag upload``: runs of a URL that wait on this machine, or copies of run folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graddiag.cli.terminal import echo
from graddiag.errors import SettingError

if TYPE_CHECKING:
    from graddiag.store import Sent


def upload(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", help="Run folders to copy; a folder of runs means all of them."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="URL", help="Where to: s3://BUCKET/PREFIX. Needed for copies.")
    ] = None,
) -> None:
    """Upload the runs that wait on this machine since the network failed, or copies of run folders."""
    from graddiag.store import remote_url, runs_at, send_copies, send_waiting

    url = None if root is None else remote_url(root)
    if root is not None and url is None:
        raise SettingError(f"--root {root}: it is no URL; give one, e.g. s3://BUCKET/PREFIX.")
    if not runs:
        _report(send_waiting(url), nothing="no run waits on this machine to be uploaded.")
        return
    if url is None:
        raise SettingError("upload RUN...: give the URL that the runs are copied to, e.g. --root s3://BUCKET/PREFIX.")
    folders = [Path(path) for run in runs for path in runs_at(run)]
    _report(send_copies(folders, url), nothing="")


def _report(sent: "Iterable[Sent]", nothing: str) -> None:
    failed, done = 0, 0
    for each in sent:
        done += 1
        failed += each.missing is not None
        if each.missing is None:
            echo(f"uploaded {each.url}")
        else:
            echo(f"not uploaded whole: {each.folder} to {each.url}: {each.missing}", err=True)
    if not done and nothing:
        echo(nothing)
    if failed:
        raise typer.Exit(1)
