"""A clip policy out of the text that names it: ``norm:1.0``, ``bptt:5:norm``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graddiag.clipping.adaptive import AutoClip, ZClip
from graddiag.clipping.agc import UnitwiseClipping
from graddiag.clipping.bptt import BpttClipping, TruncatedBptt
from graddiag.clipping.fixed import NoClipping, NormClipping, ValueClipping
from graddiag.clipping.outcome import ClipPolicy
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
_WINDOW: Final = _Argument("a window", "20", "a whole number of timesteps, 1 or more", lambda k: k >= 1 and k % 1 == 0)
_ORDER: Final = _Argument("an order", "inf", "above 0", lambda p: p > 0)

_WITH: Final[dict[str, tuple[Callable[[float], ClipPolicy], _Argument]]] = {
    "norm": (NormClipping, _THRESHOLD),
    "value": (ValueClipping, _THRESHOLD),
    "bptt": (BpttClipping, _THRESHOLD),
    "tbptt": (lambda k: TruncatedBptt(int(k)), _WINDOW),
    "auto": (AutoClip, _PERCENTILE),
    "agc": (UnitwiseClipping, _FACTOR),
}
_WITHOUT: Final[dict[str, Callable[[], ClipPolicy]]] = {"none": NoClipping, "zclip": ZClip}
_KNOWN: Final = "none, norm:C, value:C, bptt:C, tbptt:K, auto:P, zclip, agc:C"
_OPTIONS: Final = {
    "norm": "the order of the norm (norm:1.0:inf)",
    "value": "nan=0 (value:1.0:nan=0)",
    "bptt": "norm (bptt:5.0:norm)",
}


def parse(spec: str) -> ClipPolicy:
    """The policy that ``spec`` names.

    ``none``; ``norm:C``, and ``norm:C:P`` for the P-norm (``norm:1:inf``); ``value:C``, and ``value:C:nan=0`` to zero
    NaN; ``bptt:C``, and ``bptt:C:norm``; ``tbptt:K``; ``auto:P``; ``zclip``; ``agc:C``.

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
    first, more, option = argument.partition(":")
    number = _number(spec, name, first, kind)
    return _with_option(spec, name, number, option) if more else policy(number)


def _with_option(spec: str, name: str, number: float, option: str) -> ClipPolicy:
    """A policy with something behind a second colon."""
    if name == "norm":
        return NormClipping(number, _number(spec, f"norm:{number!r}", option, _ORDER))
    if (name, option) == ("value", "nan=0"):
        return ValueClipping(number, zero_nan=True)
    if (name, option) == ("bptt", "norm"):
        return BpttClipping(number, "norm")
    allowed = f"there may be {_OPTIONS[name]}" if name in _OPTIONS else "there is nothing"
    raise SettingError(f"clip {spec!r}: found {option!r} behind the second colon, where {allowed}.")


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
            f"clip {spec!r}: {kind.name.partition(' ')[2]} must be {kind.requirement}, found {number:g}; {example}, "
            "or none to leave gradients as they are."
        )
    return number
