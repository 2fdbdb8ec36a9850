"""One decision a run about clipping and one about the learning rate, which all findings share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.findings import PRACTICE, Advice
from graddiag.analysis.diagnosis.outcome import Outcome
from graddiag.analysis.diagnosis.outcome.course import Course
from graddiag.analysis.optimization.norms import NormHistory
from graddiag.analysis.values import Floats, Ints
from graddiag.analysis.words import number
from graddiag.run import Run, numbers

HEURISTIC: Final = "Pascanu et al. 2013, section 3.2"
WALLS: Final = "Pascanu et al. 2013, section 2.3"
RATIO: Final = "update against weight near 1e-3: CS231n, Karpathy"

FEW_NORMS: Final = 5  # norms; fewer tell no threshold
NET_SHARE: Final = 0.1
LOW_FACTOR: Final = 0.5
HIGH_FACTOR: Final = 10.0
EPSILON: Final = 1e-6  # what clip_grad_norm_ adds to the norm it divides by
_FAR: Final = 10.0  # times the loss of a constant prediction: no net that learns stays there
_SPIKE: Final = 10.0  # a norm above so many medians is no norm at which a run was learning
_FALLEN: Final = 0.9  # of the whole fall of the loss: from there on the norms are those of convergence
_UPDATE: Final = 3e-3  # norm of an update over that of the weights that a raised rate leads to, about
_FIRST_UPDATE: Final = 0.03  # the same of the first updates, which are larger, under a lowered rate
_MEDIAN_OF: Final = 3  # updates; of fewer the largest counts
_FIRST_FEW: Final = 5  # recorded updates
_ADAPTIVE: Final = ("adam", "rmsprop", "adagrad", "adadelta", "adafactor", "lion", "radam", "nadam", "lamb")


@dataclass(frozen=True)
class ClipDecision:
    """threshold: for ``norm:C``, None where no norms tell one. first, last: the steps whose norms it is made of. now: C
    of the run's own policy ``norm:C``. clipped: whether the run clips at all."""

    threshold: float | None
    first: int | None
    last: int | None
    now: float | None
    clipped: bool

    @property
    def raises(self) -> bool:
        """Whether the run's own threshold lies well below the one suggested."""
        return self.now is not None and self.threshold is not None and self.threshold > 2 * self.now

    @property
    def lowers(self) -> bool:
        return self.now is not None and self.threshold is not None and self.threshold < self.now / 2

    def advice(self) -> Advice | None:
        """Add clipping, or move the threshold; None where the run clips as it should or no threshold is known."""
        if self.threshold is None:
            return None
        c = f"{self.threshold:.2g}"
        if not self.clipped:
            code = f"`torch.nn.utils.clip_grad_norm_(model.parameters(), {c})`"
            return Advice(
                f"Clip the global norm at {c}: {code} between backward() and optimizer.step().", HEURISTIC, "clip"
            )
        if self.raises:
            return Advice(
                f"Raise the clip threshold to about {c} (now {number(self.now)}).", HEURISTIC, "raise-clip-threshold"
            )
        if self.lowers:
            return Advice(
                f"Lower the clip threshold to about {c} (now {number(self.now)}).", HEURISTIC, "lower-clip-threshold"
            )
        return None


@dataclass(frozen=True)
class RateDecision:
    """now: the learning rate, before any harm. update: norm of an update over that of the weights, median; largest: the
    largest of it; before_harm: until the harm, without what the gradient grew by through time. optimizer: its class,
    None where unknown. adaptive: whether it scales each gradient by its own size, so that the length of the gradient
    hardly matters."""

    now: float | None
    update: float | None
    largest: float | None
    before_harm: float | None
    optimizer: str | None

    @property
    def adaptive(self) -> bool:
        return self.optimizer is not None and any(name in self.optimizer.lower() for name in _ADAPTIVE)

    def lower(self, least: float = 10.0) -> Advice:
        """A smaller learning rate, by at least the factor ``least``: one with which the updates before the harm would
        have been of a usual size. What came after says nothing of the rate."""
        known = self.before_harm is not None and np.isfinite(self.before_harm)
        factor = max(least, self.before_harm / _FIRST_UPDATE) if known and self.before_harm else least
        return Advice("Lower the learning rate" + self._to(1 / factor) + ".", WALLS, "lower-learning-rate")

    def higher(self) -> Advice:
        factor = 10.0 if not self.update else float(np.clip(_UPDATE / 3 / self.update, 3.0, 1000.0))
        return Advice(f"Raise the learning rate{self._to(factor)}.", RATIO, "raise-learning-rate")

    def _to(self, factor: float) -> str:
        if not self.now:
            return f" by a factor of about {factor if factor > 1 else 1 / factor:.1g}"
        return f" to about {float(f'{self.now * factor:.1g}'):g} (now {self.now:g})"


def learning_norms(
    history: NormHistory, outcome: Outcome, loss: Course | None, harm: int | None
) -> tuple[Ints, Floats]:
    """The steps at which this run was learning, and their norms before clipping: before the first ``harm`` (a jump of
    the loss or the norm, NaN, divergence) and before it converged; spikes left out."""
    steps, norms = history.steps, history.before.values
    if outcome.detail == "never-fell" and outcome.reference and (outcome.last or 0.0) > _FAR * outcome.reference:
        return steps[:0], norms[:0]  # it never was learning
    last = int(steps[-1]) + 1 if len(steps) else 0
    ends = [last] + ([harm] if harm is not None else [])
    ends += [_converged(loss)] if loss is not None and outcome.fine else []
    used = (steps < min(ends)) & np.isfinite(norms) & (norms > 0)
    kept = norms[used]
    usual = kept <= _SPIKE * np.median(kept) if len(kept) else np.zeros(0, dtype=bool)
    return steps[used][usual], kept[usual]


def clip_decision(history: NormHistory, steps: Ints, norms: Floats) -> ClipDecision:
    """The threshold that ``learning_norms`` support; None where there are fewer than five of them."""
    if len(norms) < FEW_NORMS:
        return ClipDecision(None, None, None, history.threshold, history.source.clipped)
    return ClipDecision(safety_net(norms), int(steps[0]), int(steps[-1]), history.threshold, history.source.clipped)


def safety_net(norms: Floats) -> float:
    """The least threshold, of two digits, that clips at most a tenth of ``norms``, within half to ten times their mean.

    Source: the range is that of Pascanu, Mikolov & Bengio (2013), section 3.2.
    """
    ordered, mean = np.sort(norms), float(norms.mean())
    last_left = float(ordered[max(math.ceil((1 - NET_SHARE) * len(ordered)) - 1, 0)]) + EPSILON
    unit = 10.0 ** (math.floor(math.log10(last_left)) - 1)
    least = float(f"{math.ceil(last_left / unit) * unit:.6g}")
    return float(np.clip(least, LOW_FACTOR * mean, HIGH_FACTOR * mean))


def _converged(loss: Course) -> int:
    """The first step of the block in which the loss has fallen by most of what it fell in all, at least the second."""
    fallen = np.flatnonzero(loss.start - loss.levels >= _FALLEN * (loss.start - loss.best))
    at = max(int(fallen[0]), 1) if len(fallen) else len(loss.levels) - 1
    return int(loss.block_steps[min(at, len(loss.block_steps) - 1)])


def rate_decision(run: Run, harm: int | None, optimizer: str | None, growths: Mapping[int, float]) -> RateDecision:
    """``growths``: by recorded step how much the gradient grows through time. Under an optimizer whose step follows the
    length of the gradient, that part of an update is none of the rate."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LR, schema.UPDATE_RATIO])
    steps, rates = frame[schema.STEP].to_numpy(dtype=np.int64), numbers(frame[schema.LR])[0]
    ratios = numbers(frame[schema.UPDATE_RATIO])[0]
    before = np.ones(len(steps), dtype=bool) if harm is None or not len(steps) else steps <= max(harm, int(steps[0]))
    known, finite = rates[before & np.isfinite(rates)], ratios[np.isfinite(ratios)]
    found = RateDecision(
        float(known.max()) if len(known) else None,
        float(np.median(finite)) if len(finite) else None,
        float(finite.max()) if len(finite) else None,
        None,
        optimizer,
    )
    own = ratios if found.adaptive else ratios / [max(1.0, growths.get(int(step), 1.0)) for step in steps]
    return replace(found, before_harm=_usual(_before_harm(steps, own, harm)))


def _before_harm(steps: Ints, ratios: Floats, harm: int | None) -> Floats:
    """The finite ones of the updates before the harm, at least the first; without harm the first few."""
    finite = np.isfinite(ratios)
    known = ratios[finite]
    count = _FIRST_FEW if harm is None else max(1, int((steps[finite] < harm).sum()))
    return known[:count]


def _usual(ratios: Floats) -> float | None:
    """The median; of few the largest."""
    if not len(ratios):
        return None
    return float(np.median(ratios) if len(ratios) >= _MEDIAN_OF else ratios.max())


OVERFIT_ONE_BATCH: Final = Advice(
    "Overfit a single batch; if the loss does not go to its floor there, look for an error in the data, "
    "targets or loss.",
    "Karpathy 2019, a recipe for training neural networks",
    "overfit-one-batch",
)
CHECK_DATA: Final = Advice(
    "Check that inputs and targets belong together: print a few pairs as the model gets them.",
    "Karpathy 2019, a recipe for training neural networks",
    "check-data",
)
SCALE_TARGETS: Final = Advice(
    "Scale the targets: subtract their mean and divide by their standard deviation.", PRACTICE, "check-data"
)
LONGER: Final = Advice(
    "Train longer: tasks with long dependencies stay at chance for many steps, then improve.", PRACTICE, "train-longer"
)
