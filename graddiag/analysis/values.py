"""What every result of an analysis is made of: whose numbers they are, series of them, and what kind each one is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag.analysis.words import SIGNED
from graddiag.run import Run

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
States = NDArray[np.int8]

NO_CLIPPING = "none"


class CellState(IntEnum):
    """What a number is: zero, missing, NaN and inf (of either sign) must never be mistaken for one another."""

    VALUE = 0
    ZERO = 1
    MISSING = 2
    NAN = 3
    INF = 4

    @property
    def words(self) -> str:
        """How a legend calls it."""
        return _STATES[self]


_STATES: Final = ("a value", "exactly zero", "not measured", "NaN", "inf")


class Result:
    """Base of every result: a frozen value that can be written as JSON. ``missing`` says what could not be known."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: arrays as lists, NaN and inf as the strings nan, inf and -inf, unknown as None."""
        plain = to_plain(self)
        assert isinstance(plain, dict)
        return plain

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a table; of a result without lines or cells one row, with those of its fields that are plain
        numbers or text."""
        plain = (str, int, float, type(None))
        held = {name: each for name, each in vars(self).items() if isinstance(each, plain)}
        return pd.DataFrame([held])


@dataclass(frozen=True)
class Source:
    """The run that a result is about, as far as a reader needs it to tell runs apart."""

    run: str
    experiment: str | None = None
    arm: str | None = None
    seed: int | None = None
    clip: str | None = None
    loss_reduction: str | None = None

    @property
    def arm_label(self) -> str:
        """The arm in words: its name where it has one, else its clip policy, else the run's name."""
        if self.arm:
            return self.arm
        if self.clip is None:
            return self.run
        return "clip off" if self.clip == NO_CLIPPING else f"clip {self.clip}"

    @property
    def label(self) -> str:
        """For a legend: arm and seed."""
        return self.arm_label if self.seed is None else f"{self.arm_label}, seed {self.seed}"

    @property
    def path(self) -> str:
        """The run's name behind that of its experiment: runs of two experiments often have the same name."""
        return f"{self.experiment}/{self.run}" if self.experiment else self.run

    @property
    def clipped(self) -> bool:
        """Whether the run had a clip policy that can act."""
        return self.clip is not None and self.clip != NO_CLIPPING


@dataclass(frozen=True)
class Series:
    """One line of numbers: values [n] (NaN unless value or zero) and what each of them is, states [n] of CellState."""

    name: str
    title: str
    unit: str
    values: Floats
    states: States

    @property
    def signed(self) -> bool:
        """Whether the numbers carry a sign, and so have no log scale."""
        return self.name in SIGNED

    @property
    def measured(self) -> bool:
        """Whether it holds a single finite number."""
        return bool(np.isfinite(self.values).any())


def source_of(run: Run) -> Source:
    """What names ``run`` in a legend, a table or a sentence."""
    m = run.manifest
    return Source(m.name, m.experiment, m.arm, m.seed, m.clip, m.loss_reduction)


def states_of(values: NDArray[Any], missing: NDArray[np.bool_]) -> States:
    """The CellState of each of ``values``, same shape, int8; ``missing`` is True where nothing was measured."""
    states = np.full(values.shape, CellState.VALUE, dtype=np.int8)
    states[values == 0] = CellState.ZERO
    states[np.isnan(values)] = CellState.NAN
    states[np.isinf(values)] = CellState.INF
    states[missing] = CellState.MISSING
    return states


def is_nonfinite(states: States) -> NDArray[np.bool_]:
    """Where ``states``, of any shape, are NaN or inf."""
    return np.asarray(states >= CellState.NAN)


def finite_only(values: NDArray[Any], states: States) -> Floats:
    """A float64 copy of ``values`` with NaN wherever ``states`` is neither value nor zero."""
    shown = np.array(values, dtype=np.float64)
    shown[states >= CellState.MISSING] = np.nan
    return shown


def series(name: str, title: str, unit: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Series:
    """A Series of ``values`` [n], missing where ``missing`` [n] is True."""
    states = states_of(values, missing)
    return Series(name, title, unit, finite_only(values, states), states)


def known(value: float) -> float | None:
    """``value``, or None where it is NaN: a number that does not exist."""
    return None if math.isnan(value) else float(value)


def to_plain(value: Any) -> Any:
    """``value`` in types that JSON has. Dataclasses become objects by field; see ``Result.to_dict``."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, IntEnum):
        return value.name.lower()
    return value
