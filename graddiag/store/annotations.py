"""``annotations.json``: the tags and notes that people give a run, beside what its training wrote.

A separate file, replaced as a whole: a run can be annotated while it is being written, and its manifest, which the
training writes again at its end, takes nothing away.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from graddiag.errors import InputError, RunFormatError, SettingError
from graddiag.run import Run, RunManifest
from graddiag.store.files import ANNOTATIONS, MANIFEST, read_file, replace_text
from graddiag.store.remote.annotating import send_annotations
from graddiag.store.remote.local import local_run

MOST_TAGS: Final = 32
TAG_LENGTH: Final = 60
NOTES_LENGTH: Final = 20_000


class Annotations(BaseModel):
    """What people say of a run: tags, each once, in their order, and notes. Both may hold any text."""

    model_config = ConfigDict(frozen=True)

    tags: tuple[str, ...] = ()
    notes: str = ""


def annotate(run: Run | Path | str, *, tags: Iterable[str] | None = None, notes: str | None = None) -> Annotations:
    """Gives a run tags and notes, in place of those that it had; None leaves them as they are.

    Args:
        run: a run that was loaded, its folder or its URL; it may be running.
        tags: surrounding space is taken off; empty ones and repeated ones are left out.

    Raises:
        SettingError: one text as tags, more than 32 of them, a tag over 60 characters, or notes over 20,000.
        InputError: the run is no folder, or its folder cannot be written.
    """
    folder = _folder(run)
    before = annotations_of(folder) or _of_manifest(folder)
    found = Annotations(
        tags=before.tags if tags is None else _checked_tags(tags),
        notes=before.notes if notes is None else _checked_notes(notes),
    )
    text = found.model_dump_json(indent=2) + "\n"
    send_annotations(folder, text.encode())
    try:
        replace_text(folder / ANNOTATIONS, text)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}. Is the folder read-only?") from error
    return found


def annotations_of(folder: Path) -> Annotations | None:
    """What people gave the run in ``folder``; None where nobody has. A damaged file is reported in the notes."""
    try:
        return Annotations.model_validate_json(read_file(folder / ANNOTATIONS))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, RunFormatError) as error:
        return Annotations(notes=f"{ANNOTATIONS} cannot be read ({type(error).__name__}); saving replaces it.")


def annotated(manifest: RunManifest, folder: Path) -> RunManifest:
    """``manifest`` with the tags and notes that people gave the run."""
    found = annotations_of(folder)
    return manifest if found is None else manifest.model_copy(update={"tags": found.tags, "notes": found.notes})


def _folder(run: Run | Path | str) -> Path:
    folder = run.path if isinstance(run, Run) else local_run(run)
    if folder is None or not (folder / MANIFEST).is_file():
        named = run.name if isinstance(run, Run) else str(run)
        raise InputError(
            f"run {named!r}: it is no folder with a {MANIFEST}; give a run of `graddiag.load_run(FOLDER)`."
        )
    return folder


def _of_manifest(folder: Path) -> Annotations:
    try:
        told = RunManifest.model_validate_json(read_file(folder / MANIFEST))
    except (OSError, ValidationError, RunFormatError):
        return Annotations()
    return Annotations(tags=told.tags, notes=told.notes)


def _checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise SettingError(f"tags {tags!r}: this is one text; give a list of tags, e.g. [{tags!r}].")
    found = tuple(dict.fromkeys(_plain(tag) for tag in tags if tag.strip()))
    if len(found) > MOST_TAGS:
        raise SettingError(f"tags: {len(found)} were given; a run can have {MOST_TAGS}.")
    for tag in found:
        if len(tag) > TAG_LENGTH:
            raise SettingError(f"tag {tag[:TAG_LENGTH]!r}...: it has {len(tag)} characters; {TAG_LENGTH} are the most.")
    return found


def _checked_notes(notes: str) -> str:
    if len(notes) > NOTES_LENGTH:
        raise SettingError(f"notes: {len(notes):,} characters were given; {NOTES_LENGTH:,} are the most.")
    return _plain(notes)


def _plain(text: str) -> str:
    """``text`` without the space around it, as UTF-8 can hold it."""
    return text.strip().encode(errors="replace").decode()
