"""What to try so that the gradient reaches farther back, by the cell, what its gates do and where the loss is."""

import math
from typing import Final

from graddiag.analysis.fading import Fading, arrived_early, began
from graddiag.analysis.findings import Advice
from graddiag.analysis.kinds import Cell
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.words import number, percent

_GATED: Final = Advice("an LSTM or GRU, whose state is carried on by a sum.", "Hochreiter & Schmidhuber 1997")
_UNKNOWN: Final = Advice(
    "an LSTM or GRU if this is a plain RNN, a larger bias of the gate that keeps the state if it is not: the gates "
    "were not recorded.",
    "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
)
_ORTHOGONAL: Final = Advice("an orthogonal or identity start of the recurrent weight.", "Le, Jaitly & Hinton 2015")
_NEARER: Final = Advice(
    "shorter sequences, or a loss at more timesteps; clipping cannot help a gradient that vanishes.",
    "Pascanu et al. 2013",
)
_AWAKE: Final = Advice(
    "a bias above 0 at the start, or a leaky activation: a gain of exactly 0 is a timestep at which all relus are off.",
    "Maas et al. 2013",
)
_NO_CLIPPING: Final = Advice("nothing by clipping: it cannot help a gradient that vanishes.", "Pascanu et al. 2013")


def advice_on(fading: Fading, cell: Cell, thresholds: Thresholds) -> tuple[Advice, ...]:
    """The best fit first: a training that lost what it had is to be slowed, saturated or sleeping units to be freed;
    else the gate that keeps the state, or one where there is none; last what changes the task."""
    tries = [_slower(fading, thresholds)] if arrived_early(fading, thresholds) else []
    if cell.saturated is not None and cell.saturated >= thresholds.saturated:
        tries.append(_freed(cell.saturated))
    if fading.reach.zero_gains and cell.kind == "relu":
        tries.append(_AWAKE)
    tries += _by_cell(fading, cell, thresholds)
    return (*tries, _NO_CLIPPING if fading.reach.dense else _NEARER)


def _by_cell(fading: Fading, cell: Cell, thresholds: Thresholds) -> list[Advice]:
    if cell.kind is None:
        return [_UNKNOWN, _ORTHOGONAL]
    if not cell.gated:
        return [_GATED, _ORTHOGONAL]
    # a gate that is open already is not what forgets
    is_open = cell.carried is not None and cell.carried >= thresholds.gate_open
    return [] if is_open else [_bias(fading, cell, thresholds)]


def _bias(fading: Fading, cell: Cell, thresholds: Thresholds) -> Advice:
    """A bias with which the gate alone lets enough of a state through the whole sequence, 1 at the least."""
    needed = thresholds.arriving ** (1 / max(1, fading.reach.length - 1))
    bias = max(1.0, math.log(needed / (1 - needed)))
    now = "" if cell.carried is None else f", which is {number(cell.carried)} in the mean now"
    if cell.kind == "lstm":
        text = f"a forget-gate bias of {bias:.2g} or more (the sum of torch's two biases){now}."
        return Advice(text, "Jozefowicz et al. 2015; Tallec & Ollivier 2018")
    text = f"a bias of the update gate z of {bias:.2g} or more{now}: so the state is copied longer."
    return Advice(text, "Tallec & Ollivier 2018")


def _slower(fading: Fading, thresholds: Thresholds) -> Advice:
    return Advice(
        f"a smaller learning rate, or clipping while the norm is large: until step {began(fading, thresholds)} enough "
        "arrived, so training drove the net there.",
        "Pascanu et al. 2013, section 2.3",
    )


def _freed(share: float) -> Advice:
    return Advice(
        f"smaller inputs or a smaller start of the weights: {percent(share)} of the units are saturated, and pass "
        "little on.",
        "Glorot & Bengio 2010",
    )
