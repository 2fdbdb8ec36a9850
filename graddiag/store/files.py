"""The files of a run folder, and the one way any of them is written: aside, then put in place at once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

MANIFEST: Final = "manifest.json"
INDEX: Final = "tables.json"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Lets ``write`` fill a file beside ``path``, then puts it in place of ``path``; a reader sees the old or the new.

    Raises:
        OSError: it could not be written; nothing is left behind and ``path`` is as it was.
    """
    aside = path.with_name(f".{path.name[:60]}.{uuid4().hex[:8]}.tmp")
    try:
        write(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """``replace_file`` with ``text`` as UTF-8."""
    replace_file(path, lambda aside: aside.write_text(text, encoding="utf-8"))
