"""What to try so that the gradient reaches farther back, by the cell, what its gates do and where the loss is."""

import math
from typing import Final

from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import Advice
from graddiag.analysis.flow.fading import Fading, arrived_early
from graddiag.analysis.gates.kinds import RecordedCell
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import percent
from graddiag.kinds import KeepingGate

_GATED: Final = Advice(
    "Use an LSTM or GRU: its state is carried on by a sum.", "Hochreiter & Schmidhuber 1997", "change-cell"
)
_UNKNOWN: Final = Advice(
    "Use an LSTM or GRU if this is a plain RNN; else raise the bias of the gate that keeps the state (no gates were "
    "recorded).",
    "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
    "change-cell",
)
_ORTHOGONAL: Final = Advice(
    "Start with an orthogonal or identity recurrent weight.", "Le, Jaitly & Hinton 2015", "change-initialization"
)
_NEARER: Final = Advice(
    "Shorten the way: shorter sequences, attention, or a loss at more timesteps. Clipping cannot help a "
    "vanishing gradient.",
    "Pascanu et al. 2013",
    "shorten-path",
)
_AWAKE: Final = Advice(
    "Start with a positive bias, or use a leaky activation: a gain of exactly 0 is a timestep at which "
    "all relus are off.",
    "Maas et al. 2013",
    "revive-units",
)


def advice_on(measured: DiagnosticContext, fading: Fading) -> tuple[Advice, ...]:
    """The best fit first: a training that lost what it had is to be slowed, saturated or silent units to be freed;
    else the gate that keeps the state, or one where there is none; last what changes the task."""
    thresholds, cell = measured.thresholds, measured.cell(fading.reach.selection)
    tries = [measured.rate.lower()] if arrived_early(fading, thresholds) and measured.harm is not None else []
    if cell.saturated is not None and cell.saturated >= thresholds.saturated:
        tries.append(_freed(cell.saturated))
    if fading.reach.zero_gains and cell.is_relu:
        tries.append(_AWAKE)
    tries += _by_cell(fading, cell, thresholds)
    return (*tries, _NEARER)


def _by_cell(fading: Fading, cell: RecordedCell, thresholds: Thresholds) -> list[Advice]:
    if cell.type is None:
        return [_UNKNOWN, _ORTHOGONAL]
    if cell.type.keeping is None:
        return [_GATED, _ORTHOGONAL]
    # a gate that is open already is not what forgets
    is_open = cell.carried is not None and cell.carried >= thresholds.gate_open
    return [] if is_open else [_bias(fading, cell.type.keeping, cell.carried, thresholds)]


def _bias(fading: Fading, gate: KeepingGate, carried: float | None, thresholds: Thresholds) -> Advice:
    """A bias with which the gate alone lets enough of a state through the whole sequence, 1 at the least."""
    needed = thresholds.arriving ** (1 / max(1, fading.reach.length - 1))
    bias = max(1.0, math.log(needed / (1 - needed)))
    now = "" if carried is None else f"; it is open to {percent(carried)} now"
    text = f"Raise {gate.bias} to {bias:.2g} or more{gate.note}{now}."
    return Advice(text, gate.source, "raise-forget-bias")


def _freed(share: float) -> Advice:
    return Advice(
        f"Scale the inputs down or start with smaller weights: {percent(share)} of the activations are saturated.",
        "Glorot & Bengio 2010",
        "scale-inputs",
    )
