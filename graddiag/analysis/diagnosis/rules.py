"""Rules: functions from what was measured to a finding; those of graddiag, and those that a user writes."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from graddiag.analysis.diagnosis.causes.changes import changed_during_training
from graddiag.analysis.diagnosis.causes.clipping import clipping_always, clipping_never, threshold_above_all
from graddiag.analysis.diagnosis.causes.exploding import exploding
from graddiag.analysis.diagnosis.causes.faults import (
    clip_before_unscale,
    clip_misplaced,
    gradients_not_zeroed,
    no_gradient,
    parameters_not_updated,
)
from graddiag.analysis.diagnosis.causes.nonfinite import nonfinite
from graddiag.analysis.diagnosis.causes.reach import truncated, vanishing
from graddiag.analysis.diagnosis.causes.step_size import learning_rate_high, learning_rate_low
from graddiag.analysis.diagnosis.causes.units import dead, saturated
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import FINDING_NAMES, Finding
from graddiag.errors import SettingError

Check = Callable[[DiagnosticContext], Finding | None]

# changes whenever a rule says something else of the same run, so that verdicts kept on disk are made anew
RULES_VERSION: Final = 18

_KEBAB: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Rule:
    """One rule: the name of its findings, and the function that looks for one. Call it like the function."""

    name: str
    check: Check

    def __call__(self, measured: DiagnosticContext) -> Finding | None:
        """The finding, or None.

        Raises:
            SettingError: the function gave a finding of another name.
        """
        found = self.check(measured)
        if found is not None and found.name != self.name:
            raise SettingError(f"rule {self.name!r}: its finding is named {found.name!r}; give it the rule's own name.")
        return found


def rule(name: str) -> Callable[[Check], Rule]:
    """Makes a plain function a rule of the user's own: ``@graddiag.rule("loss-too-high")``.

    The function takes a ``Measured`` (the run, the thresholds, and every analysis on demand) and gives a ``Finding`` of
    that name or None. It is registered with a diagnosis by handing it over, ``diagnose(run, rules=[loss_too_high])``,
    and nowhere else: importing a file of rules changes no verdict.

    Raises:
        SettingError: a name that is not in lower case with hyphens, or that graddiag uses itself.
    """
    if not _KEBAB.fullmatch(name):
        raise SettingError(f"rule {name!r}: write its name in lower case with hyphens, 'loss-too-high' for example.")
    if name in FINDING_NAMES:
        raise SettingError(f"rule {name!r}: graddiag has a finding of that name; choose another one.")
    return lambda check: Rule(name, check)


RULES: Final[tuple[Rule, ...]] = (
    Rule("no-gradient", no_gradient),
    Rule("parameters-not-updated", parameters_not_updated),
    Rule("gradients-not-zeroed", gradients_not_zeroed),
    Rule("clip-before-unscale", clip_before_unscale),
    Rule("clip-misplaced", clip_misplaced),
    Rule("changed-during-training", changed_during_training),
    Rule("truncated-reach", truncated),
    Rule("non-finite", nonfinite),
    Rule("exploding", exploding),
    Rule("learning-rate-high", learning_rate_high),
    Rule("clipping-always", clipping_always),
    Rule("learning-rate-low", learning_rate_low),
    Rule("vanishing", vanishing),
    Rule("dead-units", dead),
    Rule("saturated-gates", saturated),
    Rule("threshold-above-all", threshold_above_all),
    Rule("clipping-never", clipping_never),
)


def findings_of(measured: DiagnosticContext, own: Sequence[Rule] = ()) -> list[Finding]:
    """What graddiag's rules and the user's ``own`` find, in the order of the rules.

    Raises:
        SettingError: two rules of one name, or something in ``own`` that is no rule.
    """
    for each in own:
        if not isinstance(each, Rule):
            raise SettingError(f"rules={each!r}: this is no rule; put @graddiag.rule('a-name') above the function.")
    rules = (*RULES, *own)
    twice = _twice(each.name for each in rules)
    if twice is not None:
        raise SettingError(f"rules: two of them are named {twice!r}; a name is of one rule.")
    return [finding for finding in (each(measured) for each in rules) if finding is not None]


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]
