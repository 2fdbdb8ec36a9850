"""What the suite found, as Markdown: scores, confusion tables, and on demand what was wrong, case by case."""

from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.verdicts.judge import OUTCOMES
from benchmarks.verdicts.rules import (
    Rule,
    Said,
    accused,
    action_right,
    cause_right,
    falsely_healthy,
    graddiag_says,
    outcome_right,
)
from benchmarks.verdicts.suite import Judged


def report(found: Sequence[Judged], rules: Sequence[Rule], title: str) -> str:
    """The tables of one part of the suite; nothing of a single case."""
    trainings = {one.case.key: one.numbers.seconds for one in found}
    about = (
        f"{len(found)} judgements of {len(trainings)} trainings in {len({one.case.family for one in found})} families: "
        f"{sum(one.case.label.healthy for one in found)} healthy, {sum(one.case.label.failed for one in found)} failed."
        f" The trainings took {sum(trainings.values()):.0f} s of one core."
    )
    wrong = sum(bool(one.wrong) for one in found)
    about += f" {wrong} labels are contradicted by what happened." if wrong else ""
    parts = (_scores(found, rules), _outcomes(found), _causes(found), _kinds(found), _long(found))
    return "\n\n".join((f"### {title}", about, *filter(None, parts)))


def _scores(found: Sequence[Judged], rules: Sequence[Rule]) -> str:
    rows = [
        "| rule | outcome | cause | first advice | failed, called healthy | healthy, accused |",
        "|---|---|---|---|---|---|",
        _score("graddiag", graddiag_says, found),
    ]
    rows += [_score(f"{rule.name} (< {rule.low:.3g}, > {rule.high:.3g})", rule, found) for rule in rules]
    return "\n".join(rows)


def _score(name: str, rule: Said, found: Sequence[Judged]) -> str:
    said = [(one.case.label, rule(one)) for one in found]
    failed, healthy = [each for each in said if each[0].failed], [each for each in said if each[0].healthy]
    shares = (
        _share(outcome_right, said),
        _share(cause_right, said),
        _share(action_right, said),
        _share(falsely_healthy, failed),
        _share(accused, healthy),
    )
    return f"| {name} | {' | '.join(shares)} |"


def _share(test: Callable[..., bool], said: Sequence[tuple]) -> str:
    count = sum(test(*each) for each in said)
    return f"{count} of {len(said)} ({count / max(1, len(said)):.1%})"


def _outcomes(found: Sequence[Judged]) -> str:
    return _confusion(
        "outcome", found, lambda one: one.case.label.outcomes, lambda one: one.answer.outcome, list(OUTCOMES)
    )


def _causes(found: Sequence[Judged]) -> str:
    return _confusion(
        "cause",
        found,
        lambda one: tuple(each or "none" for each in one.case.label.causes),
        lambda one: one.answer.cause or "none",
        [],
    )


def _confusion(
    name: str,
    found: Sequence[Judged],
    true: Callable[[Judged], tuple[str, ...]],
    said: Callable[[Judged], str],
    order: list[str],
) -> str:
    """Rows: the first of the labels; an answer that is accepted counts as that first one."""
    counts = Counter((true(one)[0], true(one)[0] if said(one) in true(one) else said(one)) for one in found)
    rows = [each for each in order if any(t == each for t, _ in counts)] or sorted({t for t, _ in counts})
    columns = [*rows, *sorted({s for _, s in counts} - set(rows))]
    lines = [f"| {name}: true | {' | '.join(f'said {each}' for each in columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {row} | {' | '.join(str(counts[row, each]) for each in columns)} |" for row in rows]
    return "\n".join(lines)


def _kinds(found: Sequence[Judged]) -> str:
    """By kind: how many, and how many of them are right in outcome, cause and advice."""
    lines = ["| kind | judgements | outcome | cause | first advice |", "|---|---|---|---|---|"]
    for kind in dict.fromkeys(one.case.kind for one in found):
        said = [(one.case.label, one.answer) for one in found if one.case.kind == kind]
        right = [sum(test(*each) for each in said) for test in (outcome_right, cause_right, action_right)]
        lines.append(f"| {kind} | {len(said)} | {' | '.join(map(str, right))} |")
    return "\n".join(lines)


def _long(found: Sequence[Judged]) -> str:
    """The long trainings, which are judged at several shares of their steps, by share; nothing where there are none."""
    found = [one for one in found if one.case.training]
    lines = [
        f"| {len({one.case.key for one in found})} long trainings, judged at | outcome | cause | first advice "
        "| failed, called healthy | healthy, accused |",
        "|---|---|---|---|---|---|",
    ]
    shares = sorted({one.case.at for one in found})
    parts = [(f"{at:.0%} of their steps", [one for one in found if one.case.at == at]) for at in shares]
    lines += [_score(name, graddiag_says, part) for name, part in [*parts, ("all", found)]]
    return "\n".join(lines) if found else ""


def shown(found: Sequence[Judged]) -> str:
    """Every case that is not all right: what was wanted, what was said; and every contradicted label."""
    lines = []
    for one in found:
        label, said = one.case.label, one.answer
        right = {"outcome": outcome_right, "cause": cause_right, "advice": action_right}
        wrong = [name for name, test in right.items() if not test(label, said)]
        if wrong:
            lines.append(
                f"- {one.case.name}\n  wrong: {', '.join(wrong)}. "
                f"wanted {label.outcomes} {label.causes} {label.actions}\n"
                f"  said {said.outcome}, {said.cause}, {said.action}: {said.sentence}\n  run: {one.case.key}"
            )
        lines += [f"- {one.case.name}: LABEL CONTRADICTED, {each}" for each in one.wrong]
    return "\n".join(lines)
