"""A training that continues: where its run does, by what ``watch(resume=...)`` was given, and what is said of it."""

import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graddiag import schema
from graddiag.errors import SettingError
from graddiag.recording.events import resumed_event
from graddiag.recording.ranks import rank
from graddiag.run import RunManifest
from graddiag.store import ResumePoint, RunOrigin, RunWriter

Resume = bool | int | Mapping[str, Any] | None
"""A recorder's state in a checkpoint, a step, True for the step after the last one; None or False for a new run."""

_RUN, _NAME, _EXPERIMENT, _STEP, _COUNTS = "run", "name", "experiment", "step", "counts"
_MOST_STEPS: Final = 2**31 - 1
_WAYS: Final = (
    "To continue it from a checkpoint, keep recorder.state_dict() in the checkpoint and pass it to watch(..., "
    "resume=...); resume=True continues it after its last step."
)


@dataclass(frozen=True)
class Resumption:
    """Where a training continues. elsewhere: the name of the run that a checkpoint belongs to, where that is another
    one; counts: what the recorder had counted, by part."""

    point: ResumePoint
    elsewhere: str | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)


def recorder_state(manifest: RunManifest, step: int, counts: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of a recorder: numbers, text and tensors, as ``torch.load(weights_only=True)`` reads
    them. step: the next one."""
    about = {_RUN: manifest.id, _NAME: manifest.name, _EXPERIMENT: manifest.experiment}
    return {**about, _STEP: step, _COUNTS: dict(counts)}


def resumption_of(resume: Resume, name: str, experiment: str | None) -> Resumption | None:
    """Where the run ``name`` continues; None for a new one.

    Raises:
        SettingError: ``resume`` is no state of a recorder, and no step.
    """
    if resume is None or resume is False:
        return None
    if resume is True:
        return Resumption(ResumePoint())
    if not isinstance(resume, Mapping):
        return Resumption(ResumePoint(_step(resume)))
    if not {_RUN, _STEP} <= resume.keys():
        keys = ", ".join(map(repr, list(resume)[:5]))
        raise SettingError(
            f"watch(resume=...): found a mapping with {keys or 'nothing'}. Pass what recorder.state_dict() gave, e.g. "
            "checkpoint['recorder'], the number of steps made so far, or True."
        )
    step = _step(resume[_STEP])
    own = (resume.get(_NAME), resume.get(_EXPERIMENT))
    if own != (name, experiment):
        return Resumption(ResumePoint(step, id=str(resume[_RUN])), elsewhere=str(own[0]))
    id_ = str(resume[_RUN]) if rank() == 0 else None  # a checkpoint is of rank 0, each other rank has a separate run
    return Resumption(ResumePoint(step, id_, totals=True), counts=resume.get(_COUNTS, {}))


def log_origin(writer: RunWriter, resumption: Resumption | None, *, expected: bool = False) -> None:
    """Logs that a training continues, and warns where its run does not, or where another run has its name, unless that
    is ``expected``."""
    origin, first_step = writer.origin, writer.manifest.first_step
    if origin.continues or first_step:
        event = resumed_event(first_step, origin.replaced, None if origin.continues else _elsewhere(origin, resumption))
        writer.append(schema.TABLE_EVENTS, event)
    message = None if rank() or expected else _warning(writer.manifest, origin, resumption)
    if message is not None:
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def _elsewhere(origin: RunOrigin, resumption: Resumption | None) -> str:
    """Where the steps before are."""
    if resumption is not None and resumption.elsewhere is not None:
        return f"the run {resumption.elsewhere}"
    return f"another run, which could not be continued: {origin.refused}"


def _warning(manifest: RunManifest, origin: RunOrigin, resumption: Resumption | None) -> str | None:
    here = f"It is recorded into {origin.url or origin.path}"
    if resumption is not None and resumption.elsewhere is not None:
        return None
    if origin.refused is not None:
        return (
            f"Run {manifest.name!r} cannot be continued: {origin.refused}. {here}, from step {manifest.first_step} on."
        )
    if origin.taken is not None and resumption is None:
        return f"There is a run {manifest.name!r} already ({origin.taken}). {here}. {_WAYS}"
    return None


def _step(value: Any) -> int:
    try:
        step = operator.index(value)
    except TypeError:
        step = -1
    if not 0 <= step <= _MOST_STEPS:
        raise SettingError(
            f"watch(resume={value!r}): expected what recorder.state_dict() gave, the number of steps made so far, or "
            "True."
        )
    return step
