"""What is said when no rule applies: healthy, or not measured with the reason."""

import math
from collections.abc import Sequence
from typing import Final

from graddiag.analysis.fading import Fading
from graddiag.analysis.findings import PRACTICE, Advice, Evidence, Finding
from graddiag.analysis.measured import Measured
from graddiag.analysis.reach import Reach
from graddiag.analysis.vanishing import evidence_of
from graddiag.analysis.words import number, plural


def not_measured(measured: Measured) -> Finding:
    """The way through time was measured in no layer; why, and what it takes."""
    reach = next(iter(measured.reaches), None)
    steps, recorded, layers = len(measured.history.steps), len(measured.recorded), len(measured.selections)
    reason, advice = _why_nothing(measured, steps) if reach is None else _why_not(reach)
    evidence = (
        Evidence("steps", steps, "", "the run"),
        Evidence("steps with timesteps of a recurrent layer", recorded, "", "the run"),
        Evidence("recurrent layers", layers, "", "the run"),
    )
    rule = (
        "in no recurrent layer, at no recorded step, a finite gradient above 0 arrived whose way from one timestep to "
        "the one before was measured."
    )
    sentence = f"The gradient's way back through time was not measured: {reason[0].lower()}{reason[1:]}"
    return Finding("not-measured", "info", sentence, evidence, rule, (Advice(advice, PRACTICE),), ("touched_floor",))


def _why_nothing(measured: Measured, steps: int) -> tuple[str, str]:
    if not steps:
        return "The run holds no step.", (
            "record a few steps of training with graddiag.watch, and let backward() run through the recurrent layer."
        )
    return "The run holds no timestep of any recurrent layer.", _FOLLOWED


def _why_not(reach: Reach) -> tuple[str, str]:
    """Of the first layer: the reason, and what to do about it."""
    label = reach.selection.label
    if not reach.missing:
        return f"At no step did a finite gradient above 0 reach {label}.", _REACH_IT
    if not len(reach.steps):
        return reach.missing, _FOLLOWED
    if len(reach.timesteps) == 1:
        return reach.missing, (
            "hand the layer sequences of at least two timesteps; called once per timestep, its calls are joined only "
            "if the state is handed on without detach()."
        )
    if not reach.n_gains and not reach.zero_gains and not reach.nonfinite_gains:
        return reach.missing, (
            "hand the layer sequences of at least two timesteps, and watch the layer itself: of a state given to "
            "recorder.tap, or of rows from another tool, the transport gain may not be known."
        )
    return reach.missing, _REACH_IT


_FOLLOWED: Final = (
    "see that the model has a layer that graddiag follows (torch.nn.RNN, LSTM, GRU or their cells, or recorder.tap in "
    "a loop of your own), and that it runs forward and backward at a recorded step."
)
_REACH_IT: Final = (
    "see whether the loss depends on this layer, and whether it is finite: look for a detach(), for dead units, or for "
    "the first NaN or inf."
)


def healthy(faded: Sequence[Fading], noted: bool) -> Finding:
    """No other rule that is more than information applies, and the way through time was measured."""
    weakest = min(faded, key=lambda each: each.arriving)
    but = "Apart from what is told as information, the" if noted else "The"
    sentence = f"{but} gradient {_how_it_is(weakest)}"
    advice = Advice("nothing about the gradient; see whether other seeds agree (graddiag compare).", PRACTICE)
    return Finding(
        "healthy",
        "info",
        sentence,
        evidence_of(weakest),
        "no other rule gave a warning or worse.",
        (advice,),
    )


def _how_it_is(fading: Fading) -> str:
    reach, calm = fading.reach, "neither explodes nor vanishes on its way back through time"
    if not reach.dense:
        return (
            f"{calm}. In {reach.selection.short}, where least arrives, a share of {number(fading.arriving)} of the "
            f"gradient reaches the timestep farthest from the loss ({plural(reach.length, 'timestep')})."
        )
    if reach.horizon is None or math.isinf(reach.horizon):
        return f"{calm}. Every timestep has a loss of its own, and what comes from later ones does not fade."
    return (
        "does not explode, and it reaches every timestep, as each has a loss of its own. What a single loss sends "
        f"back falls to 1/e in {number(reach.horizon)} of {plural(reach.length, 'timestep')} in "
        f"{reach.selection.short}; part of it may go farther."
    )
