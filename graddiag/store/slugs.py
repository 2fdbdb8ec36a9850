"""Folder names made from what a user typed: always one plain component, always creatable, never outside the root."""

import re
import unicodedata
from collections.abc import Container, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from graddiag.store.files import sync_folder

MAX_BYTES: Final = 80  # leaves room for a suffix under every file system's limit (143 bytes on eCryptfs)
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def slug(text: str, *, fallback: str = "run", keep_case: bool = False) -> str:
    """A folder name for ``text``: its letters, marks and digits, all else as single dashes.

    Lower case unless ``keep_case``. Letters of any script are kept. An empty result is ``fallback``; a name that
    Windows keeps for a device (con, nul) gets ``fallback`` in front. At most ``MAX_BYTES`` bytes of UTF-8.
    """
    normal = unicodedata.normalize("NFKC", text)
    normal = normal if keep_case else normal.lower()
    kept = "".join(letter if _is_plain(letter) else "-" for letter in normal)
    kept = re.sub(r"[-.]{2,}", "-", kept)
    kept = kept.encode()[:MAX_BYTES].decode(errors="ignore").strip("-._")
    if not kept:
        return fallback
    return f"{fallback}-{kept}" if _RESERVED.fullmatch(kept) else kept


def make_run_folder(root: Path, experiment: str | None, name: str) -> Path:
    """Creates ``root/[experiment/]name``, with ``-2``, ``-3`` ... behind the name when it is taken, and gives it.

    The name keeps its case. One that differs from a folder's in case alone is taken, so that they do not become one
    folder where the file system ignores case. The experiment's folder is in lower case.

    Raises:
        OSError: the root cannot be created or written.
    """
    parent = root if experiment is None else _experiment_folder(root, slug(experiment, fallback="experiment"))
    parent.mkdir(parents=True, exist_ok=True)
    taken = {each.name.casefold() for each in parent.iterdir()}
    made = next(folder for folder in _numbered(parent, slug(name, keep_case=True)) if _created(folder, taken))
    for folder in {parent, root}:
        sync_folder(folder)
    return made


def _created(folder: Path, taken: Container[str]) -> bool:
    if folder.name.casefold() in taken:
        return False
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _experiment_folder(root: Path, name: str) -> Path:
    """The first of name, name-2, ... that is not itself a run: a run never lies inside another."""
    return next(folder for folder in _numbered(root, name) if not (folder / "manifest.json").exists())


def numbered(name: str) -> Iterator[str]:
    """``name``, ``name-2``, ``name-3``, ..."""
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def is_numbered(folder: str, name: str) -> bool:
    """Whether ``folder`` is ``name``, or that with a number behind it."""
    return re.fullmatch(re.escape(name) + r"(-\d+)?", folder, re.IGNORECASE) is not None


def _numbered(parent: Path, name: str) -> Iterator[Path]:
    yield from (parent / each for each in numbered(name))


def _is_plain(letter: str) -> bool:
    return letter in "-._" or unicodedata.category(letter)[0] in "LMN"
