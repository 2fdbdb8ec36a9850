"""The transport gains of a layer that are measurements: what its type could not hold is left out, and what a policy
inside of back-propagation did is kept apart from what the network does.

Legend: S recorded steps, T timesteps in the order in which the layer ran (a reverse direction is turned round first).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag import schema
from graddiag.analysis.flow import transport
from graddiag.analysis.selection import Selection, optional_scalars, recorded_steps
from graddiag.analysis.timesteps.grid import Grid, chunks, read_grid
from graddiag.analysis.values import Floats
from graddiag.clipping.registry import read
from graddiag.run import Run

Mask = NDArray[np.bool_]

# up to this a zero may be one that rounding made
_LOST: Final = 2.0**-103
# up to this a gradient of a type with the range of float32 may lose its gain, whatever its loss scale
_SUSPECT: Final = 2.0**-100
_AMP_SCALE: Final = "amp_scale"
_TYPES: Final = ("float16", "bfloat16", "float32", "float64")
_SINCE: Final = 3  # the schema from which on the recorder leaves such gains out, and records what a policy let through


@dataclass(frozen=True)
class Gains:
    """The gains of a chunk of steps between timesteps, [S, T] each; the first one of a sequence leads to the initial
    state and is left out.

    network: ||J_t^T lambda_t|| / ||lambda_t||, NaN where it is missing or NaN. passed: what a policy inside of
    back-propagation left of it, 1 without one, 0 at a cut. unmeasured: no gain was recorded, or it underflowed.
    present: the timestep belongs to a sequence. underflowed: left out, since the gradient is below the smallest normal
    number of its type. limited: whether what a policy let through is known; otherwise passed is 1 throughout.
    """

    grid: Grid
    order: slice
    network: Floats
    passed: Floats
    unmeasured: Mask
    present: Mask
    underflowed: Mask
    limited: bool

    @property
    def sent(self) -> Floats:
        """What goes back per timestep: the network's gain times what the policy left of it, 0 at a cut."""
        if not self.limited:
            return self.network
        return np.where(self.passed == 0, 0.0, self.network * self.passed)

    @property
    def cut(self) -> Mask:
        """Where a window of truncated back-propagation ends: nothing of the gradient is sent on."""
        return np.asarray(self.passed == 0)

    def column(self, name: str) -> Floats:
        """A column of the grid in the order in which the layer ran."""
        return self.grid.values[name][:, self.order]

    def logs(self, gains: Floats) -> Floats:
        """ln of ``gains`` between timesteps, NaN where there is none."""
        return transport.log_gains(transport.between_timesteps(gains, self.present))


def gains(run: Run, selection: Selection, others: Sequence[str] = ()) -> Iterator[Gains]:
    """The gains of one layer, chunk by chunk in the order of the steps, with the columns ``others`` beside them."""
    kept = _recorded(run, selection)
    columns = [schema.TRANSPORT_GAIN, schema.GRAD_H, *([schema.PASSED] if kept else []), *others]
    older = run.manifest.schema_version < _SINCE
    held = older and _holds_float32(run)
    for grid in chunks(run, selection, columns):
        whole = _without_underflow(run, selection, grid) if held else grid
        yield _of(whole, selection, window_of(run.manifest.clip) if older else None)


def window_of(clip: str | None) -> int | None:
    """K of the clip policy ``tbptt:K``, else None."""
    policy = read(clip)
    return None if policy is None else policy.window


def type_of(run: Run) -> str | None:
    """The type in which the gradients at the timesteps are measured, as far as the run says: float32 at least."""
    environment = run.manifest.environment
    named = (environment.get("activations") or environment.get("dtype", "")).split(",")
    known = [name for name in _TYPES if name in {each.strip() for each in named}]
    return None if not known else known[0] if known[0] != "float16" else "float32"


def _of(grid: Grid, selection: Selection, window: int | None) -> Gains:
    order = slice(None, None, -1) if selection.reverse else slice(None)
    gain, total = (grid.values[name][:, order] for name in (schema.TRANSPORT_GAIN, schema.GRAD_H))
    unmeasured = grid.missing[schema.TRANSPORT_GAIN][:, order]
    present = ~(grid.missing[schema.GRAD_H][:, order] & unmeasured)
    passed, limited = np.ones(gain.shape), schema.PASSED in grid.values
    if limited:
        recorded = grid.values[schema.PASSED][:, order]
        passed = np.where(grid.missing[schema.PASSED][:, order], 1.0, recorded)
    elif window is not None and gain.size:
        limited, cut = True, (gain == 0) & (np.arange(gain.shape[1]) % window == 0)
        passed, gain = np.where(cut, 0.0, passed), np.where(cut, np.nan, gain)
    lost = _underflowed(total, present & unmeasured & ~grid.missing[schema.GRAD_H][:, order])
    if gain.size:  # the gain of the first timestep leads to the initial state
        first = np.arange(len(gain)), present.argmax(axis=1)
        passed[first], lost[first] = 1.0, False
    return Gains(grid, order, gain, passed, unmeasured, present, lost, limited)


def _underflowed(total: Floats, without: Mask) -> Mask:
    """Of the timesteps ``without`` a gain, those that lost it: their gradient is above 0 and tiny, or 0 and farther
    back than such a one."""
    tiny = without & (total > 0) & (total < _SUSPECT)
    behind = np.logical_or.accumulate(tiny[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(tiny | (without & (total == 0) & behind))


def _recorded(run: Run, selection: Selection) -> bool:
    """Whether the first recorded step says what a policy inside of back-propagation let through."""
    steps = recorded_steps(run, selection)
    if run.manifest.schema_version < _SINCE or not len(steps):
        return False
    first = read_grid(run, selection, [schema.PASSED], steps=(int(steps[0]), int(steps[0])))
    return not first.missing[schema.PASSED].all()


def _holds_float32(run: Run) -> bool:
    """Whether the gradients of an older run are known to have had the range of float32, without a loss scale."""
    return type_of(run) in ("bfloat16", "float32") and optional_scalars(run, schema.STEP, _AMP_SCALE) is None


def _without_underflow(run: Run, selection: Selection, grid: Grid) -> Grid:
    """``grid`` with the gains missing whose gradient, or what it sends back, is below the smallest normal number."""
    total, gain = grid.values[schema.GRAD_H], grid.values[schema.TRANSPORT_GAIN]
    if not ((total > 0) & (total < _LOST)).any():
        return grid
    ends = int(grid.steps[0]), int(grid.steps[-1])
    path = read_grid(run, selection, [schema.GRAD_C_PATH], steps=ends).values[schema.GRAD_C_PATH]
    arrived = np.hypot(total, np.nan_to_num(path))
    sent = gain * arrived
    lost = (
        (arrived < transport.FLOAT32_NORMAL)
        | ((sent > 0) & (sent < transport.FLOAT32_NORMAL))
        | ((sent == 0) & (arrived < _LOST))
    )
    missing = grid.missing[schema.TRANSPORT_GAIN] | lost
    values = {**grid.values, schema.TRANSPORT_GAIN: np.where(lost, np.nan, gain)}
    return replace(grid, values=values, missing={**grid.missing, schema.TRANSPORT_GAIN: missing})
