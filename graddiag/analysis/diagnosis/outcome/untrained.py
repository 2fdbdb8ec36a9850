"""What keeps a training from happening whatever the loss does: no update, no gradient, or only a part of the model."""

from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.gates.history import gate_history
from graddiag.analysis.selection import Selection, selections
from graddiag.run import Run, numbers

_FEW: Final = 10  # updates that a GradScaler skips while its scale settles, and more
_MOST: Final = 0.5  # of the steps, or of the entries of a gradient
_ALL: Final = 0.9
_HARDLY: Final = 0.01  # of the weights
_SOME: Final = 64  # recorded steps, evenly spaced, are enough to see that entries are always 0


def skipped_updates(run: Run) -> tuple[int, int, int] | None:
    """Updates that a GradScaler or ``on_nonfinite`` skipped, those that were made, and the step at which the skipping
    began; None unless more were skipped than made, beyond what a scale needs to settle."""
    rows = run.read(
        schema.TABLE_EVENTS, columns=[schema.STEP, schema.VALUE], where={schema.KIND: schema.EVENT_UPDATE_SKIPPED}
    )
    counts = numbers(rows[schema.VALUE])[0] if len(rows) else np.zeros(0)
    made, skipped = _steps(run), int(np.nansum(counts))
    if skipped <= max(_FEW, made):
        return None
    return skipped, made, int(rows[schema.STEP].iloc[int(np.nanargmax(counts))])


def _steps(run: Run) -> int:
    return len(run.read(schema.TABLE_STEPS, columns=[schema.STEP]))


def without_gradient(run: Run) -> bool:
    """Whether the gradient of all parameters is exactly 0, or there is none, at nearly all steps, from the beginning
    on."""
    norms = numbers(run.read(schema.TABLE_STEPS, columns=[schema.GRAD_NORM])[schema.GRAD_NORM])[0]
    early = norms[: max(3, len(norms) // 10)]
    if not len(norms):
        return False
    return all(float((each == 0).mean()) >= _ALL for each in (norms, early)) or _never_any(run, len(norms))


def _never_any(run: Run, steps: int) -> bool:
    """Whether at nearly all steps no parameter had a gradient at all, as where the loss was made anew of a number."""
    columns, where = [schema.WHERE, schema.VALUE], {schema.KIND: schema.EVENT_NO_GRADIENT}
    rows = run.read(schema.TABLE_EVENTS, columns=columns, where=where)
    counts = numbers(rows[schema.VALUE])[0][rows[schema.WHERE].to_numpy(dtype=object) == schema.ALL_PARAMETERS]
    return len(counts) > 0 and float(counts.max()) >= _ALL * steps


def partly_trained(run: Run) -> bool:
    """Whether for certain a part of the model is not trained as meant: a recurrent module gets no gradient, or entries
    that underflow; the state is detached inside a step; or what is left of the gradient after clipping is divided by
    the scale of a GradScaler."""
    unreached = numbers(run.read(schema.TABLE_STEPS, columns=[schema.UNREACHED_MODULES])[schema.UNREACHED_MODULES])[0]
    if len(unreached) and float((unreached > 0).mean()) >= _MOST:
        return True
    where = {schema.KIND: [schema.EVENT_CLIP_BEFORE_UNSCALE, schema.EVENT_STATE_DETACHED]}
    return len(run.read(schema.TABLE_EVENTS, columns=[schema.STEP], where=where)) > 0 or underflowed(run) is not None


def cannot_learn(run: Run) -> bool:
    """Whether something is for certain in the way of learning: ``partly_trained``, updates that hardly move a weight,
    or a layer whose activations are nearly all saturated."""
    return partly_trained(run) or hardly_moved(run) or any(_is_saturated(run, each) for each in selections(run))


def _is_saturated(run: Run, selection: Selection) -> bool:
    """Whether in the median recorded step 90% of the activations of all gates are saturated."""
    gates = gate_history(run, selection).gates
    shares = [each.low.values + each.high.values for each in gates]
    known = np.stack(shares) if shares else np.zeros((0, 0))
    return known.size > 0 and float(np.nan_to_num(np.median(known, axis=1)).mean()) >= _ALL


def hardly_moved(run: Run) -> bool:
    """Whether the updates of all steps together are less than 1% of the weights: what is measured is the net as it
    began. Of steps that were not recorded the updates are taken to be as those of recorded ones."""
    ratios = numbers(run.read(schema.TABLE_STEPS, columns=[schema.UPDATE_RATIO])[schema.UPDATE_RATIO])[0]
    known = ratios[np.isfinite(ratios)]
    return len(known) > 0 and float(known.mean()) * len(ratios) < _HARDLY


def in_float16(run: Run) -> bool:
    """Whether the model computes in float16 somewhere, as far as the run says so."""
    return "float16" in _types(run)


def in_half(run: Run) -> bool:
    """Likewise in float16 or bfloat16."""
    return bool(_types(run) & {"float16", "bfloat16"})


def _types(run: Run) -> set[str]:
    about = run.manifest.environment
    return {name for part in ("dtype", "activations", "outputs") for name in _names(about.get(part, ""))}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def underflowed(run: Run) -> tuple[float, str] | None:
    """Of a run in float16 the largest share of exact zeros in the gradient of a recurrent matrix, in the median of the
    recorded steps, and its name; None where that is less than half."""
    if not in_float16(run):
        return None
    rows = run.read(schema.TABLE_PARAMETERS, columns=[schema.STEP, schema.PARAMETER, schema.ZEROS])
    shares, names = numbers(rows[schema.ZEROS])[0], rows[schema.PARAMETER].to_numpy(dtype=object)
    found = []
    for name in dict.fromkeys(names):
        own = shares[(names == name) & np.isfinite(shares)]
        if _is_recurrent(str(name)) and len(own):
            found.append((float(np.median(own)), str(name)))
    return max((each for each in found if each[0] >= _MOST), default=None)


def _is_recurrent(name: str) -> bool:
    return "weight_hh" in name or name.endswith("recurrent.weight")
