"""Which scalar of a run says whether it learned: the goal that the user named, one that was logged under a usual name,
what the model explains beyond a constant prediction, or the loss; and whether that loss measures success."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.diagnosis.outcome import words
from graddiag.analysis.diagnosis.outcome.course import Course
from graddiag.analysis.optimization.loss import chance_of, number_of
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, numbers, remembered

Kind = Literal["goal", "explained", "loss"]

# names under which people log what they want, the better evidence first, and whether more is better
_HELD_OUT: Final = r"(?:val|valid|validation|test|eval|dev|held_?out)"
_MORE: Final = r"(?:acc|accuracy|auc|f1|bleu|reward|return|score|solved|success|map|r2|iou|recall|precision)"
_LESS: Final = r"(?:loss|nll|ppl|perplexity|error|err|wer|cer|mse|mae|rmse|bpc|bits|elbo_loss)"
_NAMES: Final = (
    (re.compile(rf"(?:^|[_/.\- ]){_HELD_OUT}[_/.\- ].*{_MORE}(?:$|[_/.\- ])|^{_MORE}[_/.\- ]{_HELD_OUT}$"), True),
    (re.compile(rf"(?:^|[_/.\- ]){_HELD_OUT}[_/.\- ].*{_LESS}(?:$|[_/.\- ])|^{_LESS}[_/.\- ]{_HELD_OUT}$"), False),
    (re.compile(rf"(?:^|[_/.\- ]){_MORE}(?:$|[_/.\- ])"), True),
    (re.compile(r"(?:^|[_/.\- ])(?:error|err|wer|cer)(?:$|[_/.\- ])"), False),
)
# of a second network that is trained beside the first, which changes what the loss of that one means
_NETWORKS: Final = "(?:d|g|disc|gen|discriminator|generator|critic|actor|policy|value|adv|adversarial)"
_SECOND_NETWORK: Final = re.compile(rf"(?:^|[_/.\- ])(?:{_NETWORKS}_?loss|loss_?{_NETWORKS})(?:$|[_/.\- ])")
_MOST_NATS: Final = 20.0  # a loss above it is none of a number of classes
_STRAIGHT: Final = 0.99  # a correlation
_TOGETHER: Final = 0.7
_FEW: Final = 4  # values of a measure say nothing about a course


@dataclass(frozen=True)
class Measure:
    """A scalar by which a run is judged. values [n]: so that less is better (``sign`` times what was logged).

    reference: what guessing, or the best constant prediction, would have in the same units; None where unknown.
    reference_name: in words. least: what the last level must lie below the reference by, at the least. declared:
    whether the user named it.
    """

    name: str
    kind: Kind
    sign: float
    steps: Ints
    values: Floats
    reference: float | None = None
    reference_name: str = ""
    least: float = 0.0
    declared: bool = False

    @property
    def held_out(self) -> bool:
        return bool(re.search(rf"(?:^|[_/.\- ]){_HELD_OUT}(?:$|[_/.\- ])", self.name.lower()))

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a share of right answers, as far as its name and values show."""
        named = re.search(r"(?:^|[_/.\- ])acc(?:uracy)?(?:$|[_/.\- ])", self.name.lower())
        return bool(named) and self.sign < 0 and self.values.min() >= -1 and self.values.max() <= 0

    def shown(self, value: float) -> float:
        """A value as it was logged."""
        return self.sign * value + 0.0  # never -0


def goal_of(run: Run) -> Measure | None:
    """The goal: named in the configuration, else the first logged scalar with a usual name; None without one."""
    config = run.manifest.config
    named = config.get("goal")
    logged = [name for name in scalar_names(run) if name != schema.LOSS]
    if named is not None and str(named) != schema.LOSS:
        name = str(named)
        return _goal(run, name, _better(config, name), declared=True) if name in logged else None
    for pattern, more in _NAMES:
        for name in logged:
            if pattern.search(name.lower()):
                found = _goal(run, name, more, declared=False)
                if found is not None:
                    return found
    return None


def held_out_loss_of(run: Run) -> Measure | None:
    """A held-out loss or error that was logged under a usual name; None without one."""
    pattern = _NAMES[1][0]
    found = (_goal(run, name, False, declared=False) for name in scalar_names(run) if pattern.search(name.lower()))
    return next((each for each in found if each is not None), None)


def _better(config: Mapping[str, Any], name: str) -> bool:
    """Whether more is better of the goal ``name``: as the configuration says, else by its name."""
    said = str(config.get("better", ""))
    if said in ("higher", "lower"):
        return said == "higher"
    return next((more for pattern, more in _NAMES if pattern.search(name.lower())), False)


def _goal(run: Run, name: str, more: bool, *, declared: bool) -> Measure | None:
    steps, values = scalar(run, name)
    if len(values) < _FEW:
        return None
    sign = -1.0 if more else 1.0
    config = run.manifest.config
    chance = number_of(config.get("chance") if declared else config.get(f"chance_{name}"))
    if chance is None:
        return Measure(name, "goal", sign, steps, sign * values, declared=declared)
    least = 0.03 * max(abs(chance), float(np.ptp(values)))
    return Measure(name, "goal", sign, steps, sign * values, sign * chance, "chance", least, declared)


def explained_of(run: Run) -> Measure | None:
    """Loss over that of the best constant prediction, where the recorder could recover the targets at most recorded
    steps: 1 is a constant prediction, 0 a perfect one."""
    steps, values = scalar(run, schema.EXPLAINED)
    recorded = np.isfinite(numbers(run.read(schema.TABLE_STEPS, columns=[schema.UPDATE_RATIO])[schema.UPDATE_RATIO])[0])
    if len(values) < _FEW or len(values) < recorded.sum() / 2:
        return None
    return Measure(schema.EXPLAINED, "explained", 1.0, steps, 1.0 - values, 1.0, "a constant prediction", 0.01)


def loss_of(run: Run) -> Measure | None:
    """The training loss, with the loss of guessing where the configuration gives it."""
    steps, values = scalar(run, schema.LOSS)
    if not len(values):
        return None
    chance = chance_of(run)
    least = 0.0 if chance is None else 0.03 * abs(chance)
    return Measure(schema.LOSS, "loss", 1.0, steps, values, chance, "" if chance is None else "chance", least)


def constant_loss(run: Run) -> tuple[float, float] | None:
    """The loss of the best constant prediction, in the median of the later recorded steps, and its standard error, of
    few by Student's t to first order; None where unknown."""
    values = scalar(run, schema.CONSTANT_LOSS)[1]
    later = values[len(values) // 2 :]
    if not len(later):
        return None
    free = len(later) - 1
    error = 1.25 * float(later.std(ddof=1)) / math.sqrt(len(later)) * (1 + 2.5 / free) if free else 0.0
    return float(np.median(later)), error


def accuracy_of_constant(run: Run) -> float | None:
    """The most that any constant prediction can get right, by the entropy of the classes, which is its loss, and their
    number, which is about exp of the loss of the untrained net, and one more to be sure; None where unknown.

    Source: the inequality of Fano (1961), which a constant prediction of one class and equal others meets.
    """
    known, losses = constant_loss(run), scalar(run, schema.LOSS)[1]
    if known is None or not len(losses) or not 0 < losses[0] < _MOST_NATS:
        return None
    others = math.exp(float(losses[0]))
    low, high = 1 / (others + 1), 1 - 1e-9
    if _entropy(low, others) <= known[0]:
        return low
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _entropy(middle, others) > known[0] else (low, middle)
    return high


def _entropy(share: float, others: float) -> float:
    """In nats, of one class with ``share`` and ``others`` classes that share the rest equally."""
    rest = 1 - share
    return -share * math.log(share) - rest * math.log(rest / others)


def scalar_names(run: Run) -> list[str]:
    """The scalars of ``steps`` that the user logged, and the loss."""
    own = {column.name for column in schema.TABLES[schema.TABLE_STEPS].columns}
    return [name for name in _columns(run) if name not in own or name == schema.LOSS]


@remembered
def _columns(run: Run) -> tuple[str, ...]:
    return tuple(run.read(schema.TABLE_STEPS, where={schema.STEP: []}).columns)  # no row: the names alone


def scalar(run: Run, name: str) -> tuple[Ints, Floats]:
    """The finite values of a scalar and their steps."""
    if name not in _columns(run):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    frame: pd.DataFrame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, name])
    values = numbers(frame[name])[0]
    finite = np.isfinite(values)
    return frame[schema.STEP].to_numpy(dtype=np.int64)[finite], values[finite]


def no_measure(run: Run, found: Course) -> Literal["not-a-measure"] | None:
    """Why this loss does not measure success: it crosses 0 within its noise, moves with a weight that was logged, or
    is logged beside that of a second network, such as a critic or a discriminator, which changes the task."""
    if (found.values > 0).any() and (found.values < 0).any() and np.ptp(found.levels) < 2 * found.noise:
        return "not-a-measure"
    second = any(_SECOND_NETWORK.search(name.lower()) for name in scalar_names(run))
    return "not-a-measure" if second or _weighed(run, found) else None


def _weighed(run: Run, found: Course) -> bool:
    """Whether a logged weight of the loss (beta, temperature, ...) changes, and the loss rises with it, or is a
    straight line of one that falls. A weight that rises can only add to the loss: what is gone of it was learned."""
    for name in words.WEIGHTS:
        steps, values = scalar(run, name)
        if len(values) < _FEW or np.ptp(values) <= 1e-3 * np.abs(values).max():
            continue
        if values[-1] < values[0] and _correlation(found, 0, steps, values) > _STRAIGHT:
            return True
        gone = values[-1] > values[0] and found.last < found.start / 2
        rises = found.last > found.best + 2 * found.error
        if rises and not gone and abs(_correlation(found, found.best_block, steps, values)) > _TOGETHER:
            return True
    return False


def _correlation(found: Course, first: int, steps: Ints, values: Floats) -> float:
    """Of the levels from block ``first`` on with a scalar; 0 where either is constant or there are few."""
    along, levels = np.interp(found.block_steps[first:], steps, values), found.levels[first:]
    if len(levels) < 3 or np.ptp(along) == 0 or np.ptp(levels) == 0:
        return 0.0
    return float(np.corrcoef(along, levels)[0, 1])
