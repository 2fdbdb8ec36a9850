"""The files of a run folder: written aside, synced to the disk and put in place at once; read only where they are
regular files of the folder itself."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from graddiag.errors import RunFormatError

MANIFEST: Final = "manifest.json"
INDEX: Final = "tables.json"
ANNOTATIONS: Final = "annotations.json"

MAX_BYTES: Final = 64 * 2**20  # of a text file of a run; one that is larger was not written by graddiag
_UNSUPPORTED: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # file systems on which nothing can be synced
_FOLLOW_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def replace_file(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Lets ``write`` fill a file beside ``path``, then puts it in place of ``path``; a reader sees the old or the new.

    durable: the content and the entry in the folder are on the disk on return, so that they survive a power loss.

    Raises:
        OSError: it could not be written; nothing is left behind and ``path`` is as it was.
    """
    aside = path.with_name(f".{path.name[:60]}.{uuid4().hex[:8]}.tmp")
    try:
        write(aside)
        if durable:
            _sync(aside, os.O_RDWR)
        os.replace(aside, path)
    finally:
        with suppress(OSError):  # of a disk that has gone: the first error is the one to raise
            aside.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def replace_text(path: Path, text: str, *, durable: bool = True) -> None:
    """``replace_file`` with ``text`` as UTF-8."""
    replace_file(path, lambda aside: aside.write_text(text, encoding="utf-8"), durable=durable)


def sync_folder(folder: Path) -> None:
    """Makes the names of the files in ``folder`` survive a power loss; Windows offers no way to."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def read_file(path: Path) -> bytes:
    """The content of a file of a run folder.

    Raises:
        OSError: it is not there, or cannot be read.
        RunFormatError: it is a link, no regular file, or larger than any that graddiag writes.
    """
    check_regular(path)
    handle = os.open(path, os.O_RDONLY | _FOLLOW_NO_LINK)
    with open(handle, "rb") as file:
        size = os.fstat(handle).st_size
        if size > MAX_BYTES:
            raise RunFormatError(f"{path} has {size:,} bytes; graddiag writes none above {MAX_BYTES:,}. Copy it again.")
        return file.read(MAX_BYTES + 1)


def check_regular(path: Path) -> None:
    """Raises RunFormatError where ``path`` is a link or no regular file: a run is read from its own folder alone."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        found = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise RunFormatError(f"{path} is {found}; graddiag reads only files that lie in the folder of the run itself.")


def check_part(folder: Path, part: str) -> None:
    """``check_regular`` of the part ``table/name`` of the run in ``folder``, and of the table's own folder."""
    place = folder / part
    if place.parent.is_symlink():
        raise RunFormatError(f"{place.parent} is a link; graddiag reads only files that lie in the folder of the run.")
    check_regular(place)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)
