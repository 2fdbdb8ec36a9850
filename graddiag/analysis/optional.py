"""Scalars of ``steps`` that a run may have been given or not."""

from graddiag import schema
from graddiag.analysis.values import Floats
from graddiag.run import Run, numbers


def optional_scalars(run: Run, *names: str) -> tuple[Floats, ...] | None:
    """The columns ``names`` of ``steps``, [S] each, NaN where missing; None where the run lacks one of them."""
    has = run.read(schema.TABLE_STEPS, where={schema.STEP: []}).columns  # no row: the names alone
    if not set(names) <= set(has):
        return None
    frame = run.read(schema.TABLE_STEPS, columns=list(names))
    return tuple(numbers(frame[name])[0] for name in names)
