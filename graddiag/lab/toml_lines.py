"""In which line of a TOML file a key was given, so that what is wrong with it is found at once."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any


def line_of(text: str, key: Sequence[str]) -> int | None:
    """The line, counted from 1, in which the statement begins that gives ``key``; of an entry of a list, that of the
    list. None where no part of it is given.

    It is asked of the parser: of the beginnings of the file that are TOML, the first one that holds the key ends with
    that statement, and the one before it ends where the statement begins.
    """
    lines = text.splitlines(keepends=True)
    for depth in range(len(key), 0, -1):
        before = 0
        for count in range(1, len(lines) + 1):
            beginning = _parsed("".join(lines[:count]))
            if beginning is None:
                continue
            if _holds(beginning, key[:depth]):
                return before + 1
            before = count
    return None


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _holds(tree: Any, key: Sequence[str]) -> bool:
    for part in key:
        if not isinstance(tree, Mapping) or part not in tree:
            return False
        tree = tree[part]
    return True
