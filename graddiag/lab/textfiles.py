"""Texts as they lie on a disk: one file, or a folder with a file for training, one for validation, one for testing;
and the reference documentation that ships with Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graddiag.errors import InputError

DOCUMENTATION: Final = Path("pydoc_data.topics")  # given as the path of a text, it means Python's documentation
_FORMS: Final = ("ptb.{}.txt", "{}.txt", "wiki.{}.tokens", "{}.tokens")


@dataclass(frozen=True)
class Splits:
    """A text by what its parts are for. ``single``: it was one text, of which nothing is held out yet."""

    train: str
    valid: str | None = None
    test: str | None = None

    @property
    def single(self) -> bool:
        return self.valid is None and self.test is None


def read_splits(path: Path) -> Splits:
    """The text at ``path``: of a UTF-8 file, of a folder in the format of the Penn Treebank (ptb.train.txt, or
    train.txt, or wiki.train.tokens, and so on; a test file may be missing), or of Python's documentation, whose text
    differs from one Python version to the next, where ``path`` is ``DOCUMENTATION``.

    Raises:
        InputError: a file is missing, unreadable, not UTF-8 or empty.
    """
    if path == DOCUMENTATION:
        from pydoc_data.topics import topics

        return Splits("\n".join(topics.values()))
    if not path.is_dir():
        return Splits(_read(path))
    form = next((form for form in _FORMS if (path / form.format("train")).is_file()), None)
    if form is None:
        raise InputError(
            f"text {path}: the folder has no training text; it is to hold ptb.train.txt, ptb.valid.txt and "
            "ptb.test.txt, or train.txt, valid.txt and test.txt."
        )
    valid, test = path / form.format("valid"), path / form.format("test")
    if not valid.is_file():
        raise InputError(
            f"text {path}: it has {form.format('train')} but no {valid.name}, on which to measure; add it."
        )
    return Splits(_read(path / form.format("train")), _read(valid), _read(test) if test.is_file() else None)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"text {path}: it cannot be read ({error.strerror}); give a text file, UTF-8.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"text {path}: it is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); "
            "convert it first, for example with iconv -t UTF-8."
        ) from error
    if not text:
        raise InputError(f"text {path}: it is empty; give a file with text in it.")
    return text
