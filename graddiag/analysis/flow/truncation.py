"""Whether back-propagation through time is cut short: by a detach, between calls or steps, or by a short window."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.flow.distance import task_distance
from graddiag.analysis.flow.gains import Gains, gains, window_of
from graddiag.analysis.selection import Selection, evenly_spaced
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints, Result, Source, source_of
from graddiag.analysis.words import percent, plural
from graddiag.run import Run, numbers, remembered

_NAMES: Final = (schema.GRAD_W_HH, schema.H_RMS, schema.MEMORY_ENDED)
_SINCE: Final = 4  # the schema that says whether a state is attached
_ONE_PLACE: Final = 0.9  # of the steps: a detach cuts at the same timestep


@dataclass(frozen=True)
class Truncation(Result):
    """Where the gradient of one layer stops on its way back, by S recorded steps.

    window: timesteps of the longest sequence. Over the ``judged`` steps with a finite gradient above 0:
    cut_share: those at which dL/dh is exactly 0 at all timesteps before some one, although it is large there (at least
    ``Thresholds.arriving`` of the largest) and its transport gain is not 0: a detach; or at which a policy inside
    of back-propagation (tbptt:K) let nothing through. A timestep that ran and got no gradient counts as 0. cut_by: that
    policy, if it makes most of the cuts, else None. policy_window: K of the run's tbptt:K, whether or not it leaves a
    timestep without a gradient (with a loss at every timestep it leaves none). cut_timestep: the first timestep, in the
    order in which the layer ran, that still gets one, the median of those steps; None unless ``Thresholds.usual_share``
    of the judged steps are cut. faded_share: zeros that a fading gradient, or dead units (gain 0), ran into.
    carried_share: of the steps where it can be seen, those whose first G_t is not 0, so that the layer began from a
    state that was not 0: carried over from an earlier call or step (or given, or learned). carried: whether these are
    ``Thresholds.usual_share`` of them or more, and no gradient goes through it. attached: whether it is part of
    autograd's graph, so that a gradient goes further back than these timesteps (to an encoder, to a learned state, to a
    call that is not joined): then nothing is cut off there. Calls whose state depends on one another are one sequence
    here (those of a bidirectional layer or of packed sequences are never joined). calls: separate sequences of the
    module in a step. distance: the task's, in timesteps;
    window_short: whether the window (that of tbptt:K if it is shorter) is shorter than that, None where not known.
    """

    source: Source
    selection: Selection
    window: int
    steps: Ints
    judged: int
    cut_share: float | None
    cut_timestep: int | None
    faded_share: float | None
    carried_share: float | None
    calls: int
    distance: int | None
    window_short: bool | None
    missing: str | None = None
    carried: bool = False
    cut_by: str | None = None
    policy_window: int | None = None
    attached: bool = False

    @property
    def windowed(self) -> bool:
        """Whether tbptt:K cuts the sequences into windows."""
        return self.policy_window is not None and self.policy_window < self.window

    @property
    def longest(self) -> int:
        """Timesteps over which a gradient can go: of the sequence, or of the policy's window if that is shorter."""
        return self.window if self.policy_window is None else min(self.window, self.policy_window)

    @property
    def cut(self) -> bool:
        return self.cut_timestep is not None

    @property
    def found(self) -> tuple[str, ...]:
        """What cuts back-propagation short here, a sentence each."""
        told = (
            self._cut_sentence,
            f"tbptt:{self.policy_window} cuts back-propagation every {plural(self.policy_window or 0, 'timestep')}: no "
            f"gradient goes further back than {(self.policy_window or 1) - 1}.",
            f"The sequences began from a state that was not 0 at {percent(self.carried_share or 0.0)} of the steps: "
            "one that was carried over (or given, or learned), through which no gradient was seen to go further back.",
            f"The window has {plural(self.longest, 'timestep')}, the task looks back {self.distance}: what lies beyond "
            "the window cannot be learned from the gradient.",
        )
        return tuple(
            s
            for s, holds in zip(told, (self.cut, self.windowed, self.carried, self.window_short), strict=True)
            if holds
        )

    @property
    def _cut_sentence(self) -> str:
        share = f"at {percent(self.cut_share or 0.0)} of the steps"
        if self.cut_by is not None:
            return f"No gradient goes back beyond timestep {self.cut_timestep}, {share}: {self.cut_by} cuts it off."
        return (
            f"No gradient goes back beyond timestep {self.cut_timestep}: it is large there and exactly 0 before, "
            f"{share}. A detach cuts it off."
        )

    @property
    def caption(self) -> str:
        return self.missing or self.caption_parts.caption(self.source)

    @property
    def caption_parts(self) -> Caption:
        calls = f"A step has {self.calls} separate sequences of this module." if self.calls > 1 else ""
        whole = f"not cut short within the {plural(self.window, 'timestep')}"
        notes = " ".join(filter(None, (*self.found, calls)))
        return Caption(
            f"Back-propagation in {self.selection.short}", {"": "ends early" if self.found else whole}, notes
        )

    def to_frame(self) -> pd.DataFrame:
        """One row: where back-propagation ends, and at what share of the steps."""
        names = (
            "window",
            "judged",
            "cut_share",
            "cut_timestep",
            "faded_share",
            "carried_share",
            "distance",
            "window_short",
        )
        return pd.DataFrame([{"layer": self.selection.label, **{name: getattr(self, name) for name in names}}])


def truncation(run: Run, selection: Selection, *, thresholds: Thresholds | None = None) -> Truncation:
    """Whether back-propagation through one layer is cut short, and by what.

    Source: truncated back-propagation through time (Williams & Peng 1990).
    """
    return _truncation(run, selection, thresholds or Thresholds())


@remembered
def _truncation(run: Run, selection: Selection, thresholds: Thresholds) -> Truncation:
    parts = [_ways(found, selection, thresholds.arriving) for found in gains(run, selection, _NAMES)]
    steps, judged, cut, short, known, carried, first, by_policy, known_way = (
        np.concatenate(each) for each in zip(*map(_fields, parts), strict=True)
    )
    distance, window, policy_window = (
        task_distance(run.manifest),
        max(p.window for p in parts),
        window_of(run.manifest.clip),
    )
    cut = cut & (known_way | _at_one_place(first, cut & ~known_way))
    usual = cut.any() and cut.sum() >= thresholds.usual_share * judged.sum()
    carried_share = _share(carried & known, known)
    attached = _begins_attached(run, selection, steps)
    return Truncation(
        source_of(run),
        selection,
        window,
        steps,
        int(judged.sum()),
        _share(cut, judged),
        int(np.median(first[cut])) if usual else None,
        _share(short & ~cut, judged),
        carried_share,
        _calls(run, selection, steps),
        distance,
        None if distance is None or not window else min(window, policy_window or window) - 1 < distance,
        _what_is_missing(parts, selection, bool(judged.any())),
        carried_share is not None and carried_share >= thresholds.usual_share and not attached,
        (run.manifest.clip or "h-detach") if usual and 2 * by_policy.sum() > cut.sum() else None,
        policy_window,
        attached,
    )


def _begins_attached(run: Run, selection: Selection, steps: Ints) -> bool:
    """Whether at some of the recorded steps the sequence begins from a state that a gradient goes through."""
    some = evenly_spaced(steps)
    if not len(some) or run.manifest.schema_version < _SINCE:
        return False
    where = {**selection.where, schema.STEP: some.tolist()}
    column = run.read(schema.TABLE_TIMESTEPS, columns=[schema.STATE_ATTACHED], where=where)[schema.STATE_ATTACHED]
    return bool((numbers(column)[0] > 0).any())


@dataclass(frozen=True)
class _Ways:
    """Of a chunk of steps [S]: whether each is judged, cut, short; whether it can be told that it began from a state
    that was not 0, and whether it did; whether a policy inside of back-propagation made the cut; the first timestep
    that gets a gradient, in the order of the data; whether the gain there was measured, so that a unit that passes
    nothing on is known from a cut."""

    steps: Ints
    judged: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    short: NDArray[np.bool_]
    known: NDArray[np.bool_]
    carried: NDArray[np.bool_]
    first: Ints
    by_policy: NDArray[np.bool_]
    known_way: NDArray[np.bool_]
    window: int
    recorded: bool


def _ways(found: Gains, selection: Selection, floor: float) -> _Ways:
    grid, order = found.grid, found.order
    total, weight = found.column(schema.GRAD_H), found.column(schema.GRAD_W_HH)
    unmeasured = grid.missing[schema.GRAD_H][:, order]
    present = ~(unmeasured & grid.missing[schema.H_RMS][:, order])
    total = np.where(present & unmeasured, 0.0, total)
    first, start = _first_reached(total), _first(present)
    largest = np.where(np.isfinite(total), total, 0.0).max(axis=1, initial=0.0)
    judged = (largest > 0) & np.isfinite(np.where(present, total, 0.0)).all(axis=1)
    ended = _at(found.column(schema.MEMORY_ENDED), np.maximum(first - 1, 0))
    # what lies before the beginning of every sample's episode gets nothing, and nothing is cut off
    short = judged & (first > start) & ~(ended >= 1)
    by_policy = short & (_at(found.passed, first) == 0)
    cut = by_policy | (short & (_at(total, first) >= floor * largest) & (_at(found.network, first) != 0))
    begun = _at(weight, start)
    known = judged & np.isfinite(begun) & (np.where(np.isfinite(weight), weight, 0.0).max(axis=1, initial=0.0) > 0)
    window, recorded = len(grid.timesteps), not grid.missing[schema.GRAD_H].all()
    timestep = window - 1 - first if selection.reverse else first
    way = by_policy | np.isfinite(_at(found.network, first))
    return _Ways(grid.steps, judged, cut, short, known, begun > 0, timestep, by_policy, way, window, recorded)


def _fields(part: _Ways) -> tuple[NDArray[Any], ...]:
    return (
        part.steps,
        part.judged,
        part.cut,
        part.short,
        part.known,
        part.carried,
        part.first,
        part.by_policy,
        part.known_way,
    )


def _at_one_place(first: Ints, cut: NDArray[np.bool_]) -> bool:
    """Whether those that are ``cut`` [S] nearly all begin at one timestep, as a detach makes it; units that are off, or
    at the ends of a hard nonlinearity, are so now here and now there."""
    if not cut.any():
        return False
    return float((first[cut] == np.median(first[cut])).mean()) >= _ONE_PLACE


def _first(held: NDArray[np.bool_]) -> Ints:
    """The first timestep that is ``held`` [S, T], 0 where none is; [S]."""
    return held.argmax(axis=1) if held.size else np.zeros(len(held), dtype=np.int64)


def _first_reached(total: Floats) -> Ints:
    """The first timestep in the order of running whose total gradient is not exactly 0 (NaN counts as 0), [S]."""
    return _first(np.nan_to_num(total, nan=0.0, posinf=1.0) > 0)


def _at(values: Floats, places: Ints) -> Floats:
    return values[np.arange(len(values)), places] if values.size else np.zeros(len(values))


def _share(held: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return float(held.sum() / of.sum()) if of.any() else None


def _calls(run: Run, selection: Selection, steps: Ints) -> int:
    """How many sequences of the same module, layer and direction there are, by some of the steps."""
    looked = evenly_spaced(steps)
    where = {name: value for name, value in selection.where.items() if name != schema.CALL}
    rows = run.read(schema.TABLE_TIMESTEPS, columns=[schema.CALL], where={**where, schema.STEP: looked.tolist()})
    return int(rows[schema.CALL].nunique())


def _what_is_missing(parts: Sequence[_Ways], selection: Selection, judged: bool) -> str | None:
    if not any(len(part.steps) for part in parts):
        return f"No timestep was recorded for {selection.label}."
    if not any(part.recorded for part in parts):
        return f"The total gradient was not recorded for {selection.label}."
    return None if judged else f"At no recorded step did a finite gradient above 0 reach {selection.label}."
