"""Where an export goes: a folder written aside and put in place at once, never over what is something else."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from graddiag import __version__
from graddiag.errors import InputError, SettingError
from graddiag.run import Run

MARK: Final = "graddiag-export.json"


@contextmanager
def new_folder(run: Run, target: Path | str, form: str, *, force: bool = False) -> Iterator[Path]:
    """An empty folder beside ``target`` that takes its place when the ``with`` ends well, and is removed otherwise.

    It holds a mark that it is an export of ``run``; ``force`` replaces a folder with such a mark and nothing else.

    Raises:
        SettingError: ``target`` is there already.
        InputError: it cannot be written.
    """
    place = Path(target).absolute()
    _check_free(place, force)
    aside = place.with_name(f".{place.name[:60]}.{uuid4().hex[:8]}.tmp")
    try:
        aside.mkdir(parents=True)
        yield aside
        (aside / MARK).write_text(json.dumps(_mark(run, form), indent=2), encoding="utf-8")
        _put(aside, place)
    except OSError as error:
        raise InputError(f"export to {target}: it cannot be written ({error}). Choose another folder.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _mark(run: Run, form: str) -> dict[str, str]:
    manifest = run.manifest
    return {"format": form, "run": manifest.name, "id": manifest.id, "graddiag_version": __version__}


def _check_free(place: Path, force: bool) -> None:
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / MARK).is_file():
        raise SettingError(
            f"export to {place}: something else is there already. Choose a folder that is not there yet."
        )
    if not force:
        raise SettingError(
            f"export to {place}: an export is there already. Choose another folder, or replace it: force=True, --force."
        )


def _put(aside: Path, place: Path) -> None:
    """Renames ``aside`` to ``place``; an export that stands there steps aside first and is removed last."""
    if not place.exists() or not any(place.iterdir()):
        os.replace(aside, place)
        return
    old = aside.with_name(f"{aside.name}.old")
    os.replace(place, old)
    os.replace(aside, place)
    shutil.rmtree(old)
