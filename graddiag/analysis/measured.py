"""What a rule looks at: a run and what is measured of it, each analysis made when first asked for and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graddiag import schema
from graddiag.analysis.clipping import ClipStatistics, statistics_of
from graddiag.analysis.exploding import exploding
from graddiag.analysis.fading import Fading, fading
from graddiag.analysis.findings import Finding
from graddiag.analysis.kinds import Cell, cell_of
from graddiag.analysis.loss import LossDynamics, loss_dynamics
from graddiag.analysis.nonfinite import NonfiniteOrigin, nonfinite_origin
from graddiag.analysis.norms import NormHistory, norm_history
from graddiag.analysis.reach import Reach, reach
from graddiag.analysis.recommended import RecommendedThresholds, recommended_thresholds
from graddiag.analysis.selection import Selection, looked_at, recorded_steps, selections
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.truncation import Truncation, truncation
from graddiag.analysis.units import DeadUnits, dead_units
from graddiag.analysis.values import Ints
from graddiag.analysis.vanishing import vanishing
from graddiag.run import Run, numbers, remembered


@dataclass(frozen=True)
class Measured:
    """A run, the thresholds, and what the analyses make of it. What a rule does not ask for is not computed."""

    run: Run
    thresholds: Thresholds

    @cached_property
    def selections(self) -> tuple[Selection, ...]:
        return selections(self.run, recorded=self.recorded)

    @cached_property
    def recorded(self) -> Ints:
        """The steps at which timesteps were recorded."""
        return recorded_steps(self.run)

    @cached_property
    def looked_at(self) -> Ints:
        """Of the recorded steps those that the rules about gates and cuts look at: enough for a median and for a
        beginning."""
        return looked_at(self.recorded)

    @cached_property
    def history(self) -> NormHistory:
        return norm_history(self.run)

    @cached_property
    def clipping(self) -> ClipStatistics:
        return statistics_of(self.history)

    @cached_property
    def loss(self) -> LossDynamics:
        return loss_dynamics(self.run, self.thresholds)

    @cached_property
    def origin(self) -> NonfiniteOrigin:
        return nonfinite_origin(self.run)

    @cached_property
    def reaches(self) -> Sequence[Reach]:
        return [reach(self.run, each, thresholds=self.thresholds) for each in self.selections]

    @cached_property
    def faded(self) -> Sequence[Fading]:
        """What arrives, for each layer where that is known."""
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

    @cached_property
    def recommended(self) -> RecommendedThresholds:
        return recommended_thresholds(self.run)

    @cached_property
    def update_ratio(self) -> float | None:
        """Norm of the update over norm of the weights, all parameters, in the median of the recorded steps."""
        values = numbers(self.run.read(schema.TABLE_STEPS, columns=[schema.UPDATE_RATIO])[schema.UPDATE_RATIO])[0]
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if len(finite) else None

    @cached_property
    def events(self) -> dict[str, str]:
        """The message of the last event of each kind."""
        rows = self.run.read(schema.TABLE_EVENTS, columns=[schema.KIND, schema.MESSAGE])
        return dict(zip(rows[schema.KIND], rows[schema.MESSAGE], strict=True))

    def cell(self, selection: Selection) -> Cell:
        """What kind of cell a layer is and what its gates do, by its gates at the steps looked at."""
        return cell_of(self.run, selection, self.looked_at)

    @cached_property
    def exploding(self) -> Finding | None:
        harmed = self.loss.harmed or self.origin.found
        return exploding(self.history, self.reaches, self.thresholds, harmed=harmed, update_ratio=self.update_ratio)

    @cached_property
    def vanishing(self) -> Finding | None:
        """Of the layers whose back-propagation is not cut: beyond a cut nothing arrives, whatever the gains are."""
        cut = [each.selection for each in self.cuts]
        whole = [each for each in self.faded if each.reach.selection not in cut]
        return vanishing(whole, self.thresholds, self.cell)

    @property
    def gradient_ill(self) -> bool:
        """Whether the gradient explodes, vanishes or is not finite, beyond mere information."""
        found = (self.exploding, self.vanishing)
        return self.origin.found or any(each is not None and each.alarming for each in found)

    @property
    def harmed(self) -> bool:
        """Whether the training shows harm: an ill gradient, or a loss that never fell, or rose again."""
        return self.gradient_ill or self.loss.harmed


@remembered
def measured_of(run: Run, thresholds: Thresholds) -> Measured:
    """A run as the rules look at it; what one judgement measured, the next one finds."""
    return Measured(run, thresholds)
