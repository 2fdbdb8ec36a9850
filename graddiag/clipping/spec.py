"""A clip policy out of the text that names it: ``norm:1.0``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graddiag.clipping.adaptive import AutoClip, ZClip
from graddiag.clipping.fixed import NoClipping, NormClipping, ValueClipping
from graddiag.clipping.outcome import ClipPolicy
from graddiag.clipping.unitwise import UnitwiseClipping
from graddiag.errors import SettingError


@dataclass(frozen=True)
class _Argument:
    """What stands behind the colon: its name, an example, and which numbers it may be."""

    name: str
    example: str
    requirement: str
    allows: Callable[[float], bool]


_THRESHOLD: Final = _Argument("a threshold", "1.0", "positive and finite", lambda c: math.isfinite(c) and c > 0)
_FACTOR: Final = _Argument("a factor", "0.01", "positive and finite", lambda c: math.isfinite(c) and c > 0)
_PERCENTILE: Final = _Argument("a percentile", "10", "from 0 to 100", lambda p: 0 <= p <= 100)

_WITH: Final[dict[str, tuple[Callable[[float], ClipPolicy], _Argument]]] = {
    "norm": (NormClipping, _THRESHOLD),
    "value": (ValueClipping, _THRESHOLD),
    "auto": (AutoClip, _PERCENTILE),
    "agc": (UnitwiseClipping, _FACTOR),
}
_WITHOUT: Final[dict[str, Callable[[], ClipPolicy]]] = {"none": NoClipping, "zclip": ZClip}
_KNOWN: Final = "none, norm:C, value:C, auto:P, zclip, agc:C"


def parse(spec: str) -> ClipPolicy:
    """The policy that ``spec`` names: ``none``, ``norm:C``, ``value:C``, ``auto:P``, ``zclip`` or ``agc:C``.

    Raises:
        SettingError: an unknown policy, or a number that is missing, none, or out of its range.
    """
    name, separator, argument = spec.strip().partition(":")
    if name in _WITHOUT:
        if separator:
            raise SettingError(f"clip {spec!r}: the policy {name} takes nothing behind it; write {name} alone.")
        return _WITHOUT[name]()
    if name not in _WITH:
        raise SettingError(f"clip {spec!r}: there is no policy {name!r}; use one of {_KNOWN}.")
    policy, kind = _WITH[name]
    return policy(_number(spec, name, argument, kind))


def _number(spec: str, name: str, argument: str, kind: _Argument) -> float:
    example = f"write {name}:{kind.example}, for example"
    try:
        number = float(argument)
    except ValueError:
        found = repr(argument) if argument else "nothing"
        raise SettingError(
            f"clip {spec!r}: {name} needs {kind.name}, a number, and found {found}; {example}."
        ) from None
    if not kind.allows(number):
        raise SettingError(
            f"clip {spec!r}: {kind.name.removeprefix('a ')} must be {kind.requirement}, found {number:g}; {example}, "
            "or none to leave gradients as they are."
        )
    return number
