"""The few numbers beside a diagnosis: where the loss ended, what reaches the far timesteps, clipping, saturation, NaN.

Each is declared once in ``KEY_FIGURES``; whoever shows them iterates over ``key_figures(run).figures``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from graddiag.analysis.diagnosis.causes.units import saturation
from graddiag.analysis.diagnosis.context import DiagnosticContext, diagnostic_context
from graddiag.analysis.flow.fading import Fading
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Result, Source, source_of
from graddiag.analysis.words import gate_name, number, percent, plural
from graddiag.kinds import is_state
from graddiag.run import Run

NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True)
class KeyFigure:
    """One number in words: title ``Memory horizon``, value ``3.7 of 30``, detail ``timesteps, recurrent layer 0``; the
    value is ``not measured`` where it is not known. alarming: whether it is what went wrong in this run."""

    title: str
    value: str
    detail: str = ""
    alarming: bool = False


@dataclass(frozen=True)
class KeyFigures(Result):
    """The key figures of a run, in the order of ``KEY_FIGURES``."""

    source: Source
    figures: tuple[KeyFigure, ...]
    missing: str | None = None


def key_figures(run: Run, thresholds: Thresholds | None = None) -> KeyFigures:
    """The key figures of ``run``, from what its diagnosis measures.

    The final value is that of the scalar by which the outcome is judged, in the mean of its last block of steps.
    What reaches the far timesteps and the memory horizon are those of the layer in which the least of the gradient is
    left, in the median of the judged steps. The norm is before clipping, L2 over all parameters. NaN and inf are
    counted, and no part of any other figure.

    Source: ``diagnose``, ``reach``, ``clip_statistics`` and ``gate_history``, of which these are single numbers.
    """
    measured = diagnostic_context(run, thresholds or Thresholds())
    return KeyFigures(source_of(run), tuple(figure(measured) for figure in KEY_FIGURES))


def _final(measured: DiagnosticContext) -> KeyFigure:
    outcome, loss = measured.outcome, measured.loss
    title = f"Final {outcome.measure or 'loss'}"
    if loss.broken_from is not None and outcome.measure in (None, "loss"):
        return KeyFigure(title, "NaN or inf", f"from step {loss.broken_from:,}", alarming=True)
    if outcome.last is None:
        return KeyFigure(title, NOT_MEASURED)
    against = "" if outcome.reference is None else f"{outcome.reference_name} {number(outcome.reference)}"
    best = "" if outcome.best is None else f"best {number(outcome.best)} at step {outcome.best_step:,}"
    return KeyFigure(title, number(outcome.last), against or best, alarming=outcome.failed)


def _reaching(measured: DiagnosticContext) -> KeyFigure:
    title, worst = "Reaches the far end", _faintest(measured)
    if worst is None:
        return KeyFigure(title, NOT_MEASURED)
    alarming = worst.arriving < measured.thresholds.arriving and not measured.outcome.fine
    value = percent(worst.arriving) if worst.arriving else "nothing"
    detail = "every timestep has a loss" if worst.reach.dense else f"of the gradient, {worst.reach.selection.short}"
    return KeyFigure(title, value, detail, alarming=alarming)


def _horizon(measured: DiagnosticContext) -> KeyFigure:
    title, worst = "Memory horizon", _faintest(measured)
    if worst is None or worst.reach.horizon is None:
        return KeyFigure(title, NOT_MEASURED)
    length = plural(worst.reach.length, "timestep")
    if math.isinf(worst.reach.horizon):
        return KeyFigure(title, "unlimited", f"does not fade over {length}")
    return KeyFigure(title, f"{number(worst.reach.horizon)} of {worst.reach.length:,}", "timesteps to 1/e")


def _norm(measured: DiagnosticContext) -> KeyFigure:
    title, clipping = "Largest norm", measured.clipping
    if clipping.norm_max is None:
        return KeyFigure(title, NOT_MEASURED)
    where = f"step {clipping.norm_max_step:,}"
    typical = clipping.norm_percentiles.get("50%")
    return KeyFigure(title, number(clipping.norm_max), f"{where}; typical {number(typical)}")


def _clipped(measured: DiagnosticContext) -> KeyFigure:
    title, clipping = "Clipped steps", measured.clipping
    if clipping.policy is not None and not clipping.source.clipped:
        return KeyFigure(title, "off", "no clip policy")
    if clipping.inside:
        return KeyFigure(title, "inside", f"{clipping.policy}, at each timestep")
    if clipping.clipped_share is None:
        return KeyFigure(title, NOT_MEASURED)
    return KeyFigure(title, percent(clipping.clipped_share), clipping.policy or "policy not given")


def _saturated(measured: DiagnosticContext) -> KeyFigure:
    title = "Saturated"
    worst = max(saturation(measured), key=lambda each: each.typical, default=None)
    if worst is None:
        return KeyFigure(title, NOT_MEASURED)
    what = "activations" if is_state(worst.gate) else gate_name(worst.gate)
    alarming = worst.typical >= measured.thresholds.saturated and not measured.outcome.fine
    return KeyFigure(title, percent(worst.typical), f"of {what}, {worst.selection.short}", alarming=alarming)


def _nonfinite(measured: DiagnosticContext) -> KeyFigure:
    title, origin = "NaN or inf", measured.origin
    if origin.missing is not None:
        return KeyFigure(title, NOT_MEASURED)
    if not origin.found:
        return KeyFigure(title, "0 steps")
    return KeyFigure(title, plural(origin.steps, "step"), f"first at step {origin.step:,}", alarming=True)


def _faintest(measured: DiagnosticContext) -> Fading | None:
    """The layer in which the least of the gradient is left."""
    return min(measured.faded, key=lambda each: each.arriving, default=None)


KEY_FIGURES: Final[tuple[Callable[[DiagnosticContext], KeyFigure], ...]] = (
    _final,
    _reaching,
    _horizon,
    _norm,
    _clipped,
    _saturated,
    _nonfinite,
)
