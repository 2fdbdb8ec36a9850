"""What a rule looks at: a run and what is measured of it, each analysis made when first asked for and kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.clipping.statistics import ClipStatistics, statistics_of
from graddiag.analysis.diagnosis.decisions import (
    ClipDecision,
    RateDecision,
    clip_decision,
    learning_norms,
    rate_decision,
)
from graddiag.analysis.diagnosis.findings import Severity
from graddiag.analysis.diagnosis.outcome import Outcome, outcome
from graddiag.analysis.diagnosis.outcome.course import Course, course
from graddiag.analysis.diagnosis.outcome.measures import loss_of
from graddiag.analysis.diagnosis.outcome.untrained import hardly_moved
from graddiag.analysis.flow.depth import Depth, depth
from graddiag.analysis.flow.fading import Fading, fading
from graddiag.analysis.flow.reach import Reach, reach
from graddiag.analysis.flow.truncation import Truncation, truncation
from graddiag.analysis.gates.time_constants import RecordedCell, cell_of
from graddiag.analysis.gates.units import DeadUnits, dead_units
from graddiag.analysis.optimization.loss import LossDynamics, loss_dynamics
from graddiag.analysis.optimization.norms import NormHistory, Spikes, find_spikes, norm_history
from graddiag.analysis.optimization.numerics import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.selection import Selection, evenly_spaced, recorded_steps, selections
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, numbers, remembered

_NEAR: Final = 0.25  # of a reference: a loss that noise lifts above it by less lies at it
_EARLY: Final = 10  # steps in which a norm that grows tenfold was driven up by the first updates


@dataclass(frozen=True)
class DiagnosticContext:
    """A run, the thresholds, and what the analyses make of it. What a rule does not ask for is not computed."""

    run: Run
    thresholds: Thresholds

    @cached_property
    def outcome(self) -> Outcome:
        return outcome(self.run, self.thresholds)

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        return selections(self.run, recorded=self.recorded)

    @cached_property
    def recorded(self) -> Ints:
        """The steps at which timesteps were recorded."""
        return recorded_steps(self.run)

    @cached_property
    def sampled_steps(self) -> Ints:
        """Of the recorded steps those that the rules about gates and cuts look at: enough for a median and for a
        beginning."""
        return evenly_spaced(self.recorded)

    @cached_property
    def history(self) -> NormHistory:
        return norm_history(self.run)

    @cached_property
    def clipping(self) -> ClipStatistics:
        return statistics_of(self.history)

    @cached_property
    def spikes(self) -> Spikes:
        return find_spikes(self.history.steps, self.history.before.values, self.thresholds)

    @cached_property
    def loss(self) -> LossDynamics:
        return loss_dynamics(self.run, self.thresholds)

    @cached_property
    def loss_course(self) -> Course | None:
        found = loss_of(self.run)
        return None if found is None else course(found.steps, found.values)

    @cached_property
    def origin(self) -> NonfiniteOrigin:
        return nonfinite_origin(self.run)

    @cached_property
    def harm(self) -> int | None:
        """The first step at which something went wrong: the loss got worse for good, NaN or inf, or the norm climbed
        tenfold within the first steps; None where nothing did."""
        found = [self.outcome.since] if self.outcome.name in ("diverged", "broken") else []
        found += [self.origin.step] if self.origin.found else []
        found += [self.thrown_first] if not self.outcome.fine else []
        return min((each for each in found if each is not None), default=None)

    @cached_property
    def early_climb(self) -> int | None:
        """The first of the first ten steps whose norm is ``Thresholds.spike`` times that of the first step."""
        norms, steps = self.history.before.values[:_EARLY], self.history.steps[:_EARLY]
        if not len(norms) or not norms[0] > 0:
            return None
        high = np.flatnonzero(norms >= self.thresholds.spike * norms[0])
        return int(steps[high[0]]) if len(high) else None

    @cached_property
    def thrown(self) -> int | None:
        """The first recorded step whose update is larger than the weights that it changes; None where there is none."""
        steps, ratios = self.scalar(schema.UPDATE_RATIO)
        large = np.flatnonzero(ratios >= 1)
        return int(steps[large[0]]) if len(large) else None

    @property
    def thrown_first(self) -> int | None:
        """The first step at which the training was thrown off course by its own updates."""
        return min((each for each in (self.early_climb, self.thrown) if each is not None), default=None)

    @property
    def at_reference(self) -> bool:
        """Whether the training ends at what a constant prediction or guessing has, and not well above it."""
        o = self.outcome
        near = o.reference is None or o.last is None or o.last <= o.reference + _NEAR * abs(o.reference)
        return o.detail in ("at-chance", "constant-prediction") and near

    @property
    def far_above(self) -> bool:
        """Whether a training is stuck at twice what a constant prediction has, or more: to come that far down nothing
        has to be learned through time."""
        o = self.outcome
        if o.name != "stuck" or o.measure != schema.LOSS or o.reference is None or o.last is None:
            return False
        return o.last > o.reference + abs(o.reference)

    @cached_property
    def unmoved(self) -> bool:
        """Whether a training is stuck well above a constant prediction, or nothing is known of one, and its updates
        together are less than 1% of the weights: what is measured is the net as it began."""
        o = self.outcome
        above = o.reference is None or o.last is None or o.last > o.reference + _NEAR * abs(o.reference)
        return o.name == "stuck" and above and hardly_moved(self.run)

    @cached_property
    def depth(self) -> Depth:
        return depth(self.run)

    @cached_property
    def learning_norms(self) -> tuple[Ints, Floats]:
        """Steps and norms before clipping at which the run was learning."""
        first = int(self.spikes.steps[0]) if len(self.spikes.steps) else None
        ends = [each for each in (self.harm, first) if each is not None]
        return learning_norms(self.history, self.outcome, self.loss_course, min(ends, default=None))

    @cached_property
    def clip(self) -> ClipDecision:
        return clip_decision(self.history, *self.learning_norms)

    @cached_property
    def rate(self) -> RateDecision:
        return rate_decision(self.run, self.harm, _optimizer(self.run), self._growths)

    @property
    def _growths(self) -> dict[int, float]:
        """By recorded step how much the gradient grows through time, in the layer where that is most."""
        found: dict[int, float] = {}
        for each in self.reaches:
            for step, growth in zip(each.steps.tolist(), each.growth_by_step.tolist(), strict=True):
                found[step] = max(found.get(step, 1.0), growth) if not math.isnan(growth) else found.get(step, 1.0)
        return found

    @cached_property
    def reaches(self) -> Sequence[Reach]:
        return [reach(self.run, each, thresholds=self.thresholds) for each in self.selections]

    @cached_property
    def faded(self) -> Sequence[Fading]:
        """What reaches the far timesteps, for each layer where that is known."""
        return [each for each in (fading(one, self.thresholds) for one in self.reaches) if each is not None]

    @cached_property
    def dead(self) -> Sequence[DeadUnits]:
        return [dead_units(self.run, each, thresholds=self.thresholds) for each in self.selections]

    @cached_property
    def truncations(self) -> Sequence[Truncation]:
        return [truncation(self.run, each, thresholds=self.thresholds) for each in self.selections]

    @property
    def cuts(self) -> Sequence[Truncation]:
        """The layers whose back-propagation ends before the sequence does."""
        return [each for each in self.truncations if each.cut]

    @property
    def update_ratio(self) -> float | None:
        """Norm of the update over norm of the weights, all parameters, in the median of the recorded steps."""
        return self.rate.update

    @cached_property
    def events(self) -> dict[str, str]:
        """The message of the last event of each kind."""
        rows = self.run.read(schema.TABLE_EVENTS, columns=[schema.KIND, schema.MESSAGE])
        return dict(zip(rows[schema.KIND], rows[schema.MESSAGE], strict=True))

    def cell(self, selection: Selection) -> RecordedCell:
        """What kind of cell a layer is and what its gates do, by its gates at the recorded steps."""
        return cell_of(self.run, selection, self.sampled_steps)

    def severity(self, *, severe: bool = False, certain: bool = False) -> Severity:
        """How much a finding of this run matters: of a training that failed a warning, or ``severe``; else information,
        but for a fault that is ``certain`` whatever the loss does."""
        if self.outcome.failed:
            return "severe" if severe else "warning"
        unmeasured = self.outcome.name == "unknown" and self.outcome.detail in ("no-loss", "few-steps")
        return "warning" if certain or (severe and unmeasured) else "info"

    def scalar(self, name: str) -> tuple[Ints, Floats]:
        """A column of ``steps`` where it is finite, with its steps."""
        frame = self.run.read(schema.TABLE_STEPS, columns=[schema.STEP, name])
        values = numbers(frame[name])[0]
        finite = np.isfinite(values)
        return frame[schema.STEP].to_numpy(dtype=np.int64)[finite], values[finite]


def _optimizer(run: Run) -> str | None:
    settings = run.manifest.optimizer
    return None if settings is None else str(settings.get("class", ""))


@remembered
def diagnostic_context(run: Run, thresholds: Thresholds) -> DiagnosticContext:
    """A run as the rules look at it; what one judgement measured, the next one finds."""
    return DiagnosticContext(run, thresholds)
