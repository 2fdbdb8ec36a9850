"""What graddiag says of a recorded training, or of its first part, in the words of the labels."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import graddiag
from graddiag import schema

OUTCOMES: Final = ("learned", "learning", "overfits", "stuck", "diverged", "broken", "unknown")
# the verdict of a diagnosis that has no outcome of its own
_OLD: Final = {
    "healthy": ("learned", None),
    "plateau": ("stuck", None),
    "diverging": ("diverged", "learning-rate-high"),
    "overfitting": ("overfits", None),
    "non-finite": ("broken", "non-finite"),
    "not-measured": ("unknown", None),
    "not-judged": ("unknown", None),
}


@dataclass(frozen=True)
class Answer:
    """Outcome, cause and first action as graddiag names them; sentence: what it says first, for reading."""

    outcome: str
    cause: str | None
    action: str | None
    sentence: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(path: Path, at: float = 1.0) -> Answer:
    """The diagnosis of the run at ``path``, as it was when the first ``at`` of its steps were done."""
    run = graddiag.load_run(path)
    return answer(graddiag.diagnose(run if at >= 1 else shortened(run, at)))


def shortened(run: graddiag.Run, at: float) -> graddiag.Run:
    """The first ``at`` of the steps of a run, as a run in memory."""
    last = round(at * len(run.steps))
    tables = {name: run.read(name) for name in schema.TABLES}
    kept = {name: table[table["step"] < last].reset_index(drop=True) for name, table in tables.items() if len(table)}
    return graddiag.Run.from_frames(run.manifest, **kept)


def answer(diagnosis: Any) -> Answer:
    """Reads a diagnosis by its outcome, or, of one that has none, by its verdict."""
    if hasattr(diagnosis, "outcome"):
        first = diagnosis.do_first
        return Answer(diagnosis.outcome.name, diagnosis.cause, first and first.action, diagnosis.outcome.sentence)
    outcome, cause = _OLD.get(diagnosis.verdict, ("stuck", diagnosis.verdict))
    return Answer(outcome, cause, None, diagnosis.lead.sentence)
