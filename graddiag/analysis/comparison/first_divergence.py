"""Where two runs of a pair part: the first step at which their numbers differ."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.clipping.statistics import clip_statistics
from graddiag.analysis.values import Floats, Ints
from graddiag.run import Run, numbers

_COMPARED: Final = (schema.LOSS, schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED)


@dataclass(frozen=True)
class FirstDivergence:
    """The first step at which the loss, or the norm before or after clipping, differs in a single bit (None: at none
    of the steps that both have), and the first step at which the second run was clipped (None: never)."""

    seed: int | None
    runs: tuple[str, str]
    first_different_step: int | None
    first_clipped_step: int | None
    compared_steps: int


def first_divergence(baseline: Run, treated: Run) -> FirstDivergence:
    """Where ``treated`` leaves ``baseline``. Two arms that differ in clipping alone part at the first clipped step."""
    (steps_a, values_a), (steps_b, values_b) = _columns(baseline), _columns(treated)
    both, at_a, at_b = np.intersect1d(steps_a, steps_b, return_indices=True)
    a, b = values_a[at_a], values_b[at_b]
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    differ = ~same.all(axis=1)
    return FirstDivergence(
        baseline.manifest.seed,
        (baseline.name, treated.name),
        int(both[differ][0]) if differ.any() else None,
        clip_statistics(treated).first_clipped_step,
        len(both),
    )


def _columns(run: Run) -> tuple[Ints, Floats]:
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, *_COMPARED])
    values = np.stack([numbers(frame[name])[0] for name in _COMPARED], axis=1)
    return frame[schema.STEP].to_numpy(dtype=np.int64), values
