"""The outcome of the suite in words and Markdown tables, as docs/verdict-suite.md shows them."""

from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.verdicts.rules import ANSWERS, LABELS, Answer, Rule, clear, confusion, graddiag_says, right, rivals
from benchmarks.verdicts.training import Outcome


def judged(found: Sequence[Outcome]) -> list[Outcome]:
    """The trainings whose truth is clear."""
    return [one for one in found if one.truth.label is not None]


def report(found: Sequence[Outcome], rules: Sequence[Rule] = ()) -> str:
    """Everything, as Markdown; the rivals tuned on ``found`` unless ``rules`` are given."""
    sure = judged(found)
    parts = [_counts(found, sure), _scores(sure, rules or rivals(sure)), _wrong(sure), _band(found)]
    return "\n\n".join(part for part in parts if part)


def _counts(found: Sequence[Outcome], sure: Sequence[Outcome]) -> str:
    of = Counter(one.truth.label for one in sure)
    labels = ", ".join(f"{of[name]} {name}" for name in LABELS)
    band = len(found) - len(sure)
    return f"{len(found)} trainings, {band} of them in a band and not judged; {len(sure)} judged: {labels}."


def _scores(sure: Sequence[Outcome], rules: Sequence[Rule]) -> str:
    said: list[tuple[str, Callable[[Outcome], Answer]]] = [("graddiag", graddiag_says)]
    said += [(f"{rule.name} (< {rule.low:.3g}, > {rule.high:.3g})", rule) for rule in rules]
    rows = ["| rule | right | healthy runs called exploding or vanishing |", "|---|---|---|"]
    rows += [_score(name, rule, sure) for name, rule in said]
    return "\n\n".join(["\n".join(rows), *(_confusion(name, rule, sure) for name, rule in said)])


def _score(name: str, rule: Callable[[Outcome], Answer], sure: Sequence[Outcome]) -> str:
    good = sum(right(one, rule(one)) for one in sure)
    healthy = [one for one in sure if one.truth.label == "healthy"]
    alarmed = sum(bool(rule(one)) for one in healthy)
    return f"| {name} | {good} of {len(sure)} ({good / max(1, len(sure)):.1%}) | {alarmed} of {len(healthy)} |"


def _confusion(name: str, rule: Callable[[Outcome], Answer], sure: Sequence[Outcome]) -> str:
    table = confusion(sure, rule)
    rows = [f"| {name}: truth | {' | '.join(f'said {said}' for said in ANSWERS)} |", "|---" * (1 + len(ANSWERS)) + "|"]
    rows += [f"| {true} | {' | '.join(str(table[true][said]) for said in ANSWERS)} |" for true in LABELS]
    return "\n".join(rows)


def _wrong(sure: Sequence[Outcome]) -> str:
    wrong = [one for one in sure if not right(one, graddiag_says(one))]
    lines = [
        f"- {one.case.name}: {truth_of(one)}, said {label_of(one)} "
        f"(growth {one.truth.growth:.3g}, jump {one.truth.jump:.3g}, kept {one.truth.kept:.3g})"
        for one in wrong
    ]
    return "\n".join(["Where graddiag is wrong:", "", *(lines or ["- nowhere"])])


def _band(found: Sequence[Outcome]) -> str:
    lines = [
        f"- {one.case.name} (growth {one.truth.growth:.3g}, jump {one.truth.jump:.3g}, kept {one.truth.kept:.3g}): "
        f"graddiag says {label_of(one)}"
        for one in found
        if one.truth.label is None
    ]
    return "\n".join(["In a band, not judged:", "", *lines]) if lines else ""


def truth_of(one: Outcome) -> str:
    """Every alarm that is clearly due, in words."""
    return ", ".join(sorted(name for name, due in clear(one).items() if due)) or "healthy"


def label_of(one: Outcome) -> str:
    """graddiag's alarms in words."""
    return ", ".join(sorted(one.alarms)) or "healthy"
