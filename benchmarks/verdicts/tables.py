"""The outcome of the suite in words and Markdown tables, as docs/verdict-suite.md shows them."""

from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.verdicts.rules import LABELS, Answer, Rule, confusion, graddiag_says, right, rivals
from benchmarks.verdicts.training import Outcome


def judged(found: Sequence[Outcome]) -> list[Outcome]:
    """The trainings whose truth is clear."""
    return [one for one in found if one.truth.label is not None]


def report(found: Sequence[Outcome], rules: Sequence[Rule] = ()) -> str:
    """Everything, as Markdown; the rivals tuned on ``found`` unless ``rules`` are given."""
    clear = judged(found)
    parts = [_counts(found, clear), _scores(clear, rules or rivals(clear)), _wrong(clear), _band(found)]
    return "\n\n".join(part for part in parts if part)


def _counts(found: Sequence[Outcome], clear: Sequence[Outcome]) -> str:
    of = Counter(one.truth.label for one in clear)
    labels = ", ".join(f"{of[name]} {name}" for name in LABELS)
    band = len(found) - len(clear)
    return f"{len(found)} trainings, {band} of them in a band and not judged; {len(clear)} judged: {labels}."


def _scores(clear: Sequence[Outcome], rules: Sequence[Rule]) -> str:
    said: list[tuple[str, Callable[[Outcome], Answer]]] = [("graddiag", graddiag_says)]
    said += [(f"{rule.name} (< {rule.low:.3g}, > {rule.high:.3g})", rule) for rule in rules]
    rows = ["| rule | right | healthy runs called exploding or vanishing |", "|---|---|---|"]
    rows += [_score(name, rule, clear) for name, rule in said]
    return "\n\n".join(["\n".join(rows), *(_confusion(name, rule, clear) for name, rule in said)])


def _score(name: str, rule: Callable[[Outcome], Answer], clear: Sequence[Outcome]) -> str:
    good = sum(right(one, rule(one)) for one in clear)
    healthy = [one for one in clear if one.truth.label == "healthy"]
    alarmed = sum(bool(rule(one)) for one in healthy)
    return f"| {name} | {good} of {len(clear)} ({good / max(1, len(clear)):.1%}) | {alarmed} of {len(healthy)} |"


def _confusion(name: str, rule: Callable[[Outcome], Answer], clear: Sequence[Outcome]) -> str:
    table = confusion(clear, rule)
    rows = [f"| {name}: truth | {' | '.join(f'said {said}' for said in LABELS)} |", "|---" * 5 + "|"]
    rows += [f"| {true} | {' | '.join(str(table[true][said]) for said in LABELS)} |" for true in LABELS]
    return "\n".join(rows)


def _wrong(clear: Sequence[Outcome]) -> str:
    wrong = [one for one in clear if not right(one, graddiag_says(one))]
    lines = [
        f"- {one.case.name}: {one.truth.label}, said {label_of(one)} "
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


def label_of(one: Outcome) -> str:
    """graddiag's alarms in words."""
    return ", ".join(sorted(one.alarms)) or "healthy"
