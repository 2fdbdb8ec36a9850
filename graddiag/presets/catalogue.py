"""Which presets there are, by name. Nothing heavy is imported until one of them is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from graddiag.errors import SettingError

if TYPE_CHECKING:
    from graddiag.presets.preset import Preset


@dataclass(frozen=True)
class Entry:
    """A preset in the list: what it is and shows, in one line, where it comes from, and the module that holds it."""

    name: str
    about: str
    source: str
    module: str


ENTRIES: Final = (
    Entry(
        "saturation",
        "Cross-entropy against squared error on a sigmoid: why the second learns nothing from its worst mistakes.",
        "Golik, Doetsch & Ney (2013); Glorot & Bengio (2010), section 4.1",
        "saturation",
    ),
)


def names() -> tuple[str, ...]:
    """The names of all presets, in the order of the list."""
    return tuple(each.name for each in ENTRIES)


def entry(name: str) -> Entry:
    """The entry of a preset.

    Raises:
        SettingError: there is none of that name.
    """
    found = next((each for each in ENTRIES if each.name == name), None)
    if found is None:
        raise SettingError(f"preset {name!r}: there is none of that name{_meant(name, names())}.")
    return found


def load(name: str) -> "Preset[Any]":
    """The preset itself, its module imported.

    Raises:
        SettingError: there is none of that name.
    """
    module = import_module(f"graddiag.presets.{entry(name).module}")
    found: Preset[Any] = module.PRESETS[name]
    return found


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; {near[0]} was meant, perhaps" if near else f"; these are: {', '.join(known)}"
