"""What is typed into Find: words, a number to compare (``loss<1``), a regular expression (``/seed[01]/``)."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Final

from graddiag.overview import RunEntry

Test = Callable[[RunEntry], bool]

HINT: Final = "lstm stuck loss<1 lr=0.5 /seed[01]/"
_COMPARED: Final = re.compile(r"([\w.-]+?)(<=|>=|<|>)([-+\d.eE]+)")
_COMPARISONS: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_LONGEST: Final = 200  # characters of an expression: a longer one is taken for a word


def searched(typed: str) -> Test:
    """Whether a run has all that is typed. An expression that is none is taken for a word."""
    tests = [_test(part) for part in typed.split()]
    return lambda entry: all(test(entry) for test in tests)


def text_of(entry: RunEntry) -> str:
    """All that words are looked for in: name, tags, notes, and the settings as key=value."""
    tags, notes = (entry.manifest.tags, entry.manifest.notes) if entry.manifest else ((), "")
    return " ".join((entry.run, *tags, notes, *(f"{key}={value}" for key, value in entry.settings.items())))


def _test(part: str) -> Test:
    compared = _COMPARED.fullmatch(part)
    limit = _number(compared[3]) if compared else None
    if compared and limit is not None:
        name, compare = compared[1], _COMPARISONS[compared[2]]
        return lambda entry: any(compare(value, limit) for value in _values(entry, name))
    if len(part) > 2 and part.startswith("/") and part.endswith("/") and len(part) <= _LONGEST:
        try:
            found = re.compile(part[1:-1], re.IGNORECASE)
        except re.error:
            return _word(part)
        return lambda entry: found.search(text_of(entry)) is not None
    return _word(part)


def _word(part: str) -> Test:
    return lambda entry: part.lower() in text_of(entry).lower()


def _values(entry: RunEntry, name: str) -> Sequence[float]:
    """The numbers that ``name`` may mean: the final loss, the steps, or a setting."""
    own = {"loss": entry.final_loss, "final_loss": entry.final_loss, "steps": entry.steps}
    found = own.get(name, _number(entry.settings.get(name, "")))
    return () if found is None else (float(found),)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
