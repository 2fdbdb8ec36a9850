"""The state of a run while it trains: outcome, loss, clipping, its layers, and what happened last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis import (
    ClipStatistics,
    LayerStatus,
    Result,
    Selection,
    clip_statistics,
    layer_status,
    recorded_steps,
    selections,
)
from graddiag.overview import RunEntry, run_entry
from graddiag.run import Run, numbers
from graddiag.store import fingerprint, load_run

LAST_EVENTS: Final = 5
_RECORDED: Final = 20  # steps, the last, whose layers are summed up


@dataclass(frozen=True)
class RunEvent:
    """One event of a run: at which step, of which kind, and its sentence."""

    step: int
    kind: str
    message: str


@dataclass(frozen=True)
class RunStatus(Result):
    """One run as its folder has it now.

    run: its folder. created: when it was made. status: running, finished, failed, interrupted, or damaged with the
    reason in ``missing``. seconds: since it was created, up to its end. step: the last one, None before there is any.
    loss: that of the last step that has one; best: the lowest. outcome, cause: as ``diagnose`` has them; a running run
    is judged again when it has grown by a tenth. clip: the policy; clipped_share: of the steps so far, None where that
    is not known. nonfinite_steps: those whose gradient held NaN or inf. layers: over the last 20 recorded steps.
    events: the last ones.
    """

    run: str
    status: str
    created: datetime | None = None
    seconds: float | None = None
    step: int | None = None
    loss: float | None = None
    best: float | None = None
    outcome: str | None = None
    cause: str | None = None
    clip: str | None = None
    clipped_share: float | None = None
    nonfinite_steps: int = 0
    layers: tuple[LayerStatus, ...] = ()
    events: tuple[RunEvent, ...] = ()
    missing: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status != "running"


def run_status(folder: Path | str) -> RunStatus:
    """The state of the run in ``folder``; of a damaged one ``missing`` says what is wrong, and no error is raised."""
    entry = run_entry(folder)
    if entry.manifest is None or entry.reason is not None:
        return RunStatus(str(folder), entry.status, missing=entry.reason)
    if entry.status == "running":
        return _status_of(load_run(folder), entry, str(folder))
    return _ended(str(folder), fingerprint(Path(folder)), entry.status, entry.outcome)


@lru_cache(maxsize=4096)
def _ended(folder: str, state: str, status: str, outcome: str | None) -> RunStatus:
    """Of a run that has ended; read once, as long as its files and its outcome are the same."""
    return _status_of(load_run(folder), run_entry(folder), folder)


def _status_of(run: Run, entry: RunEntry, folder: str) -> RunStatus:
    step, loss, best = _losses(run)
    clipping = clip_statistics(run)
    return RunStatus(
        folder,
        entry.status,
        run.manifest.created,
        _seconds(run),
        step,
        loss,
        best,
        entry.outcome,
        entry.cause,
        run.manifest.clip,
        _clipped_share(clipping),
        clipping.nonfinite_steps,
        _layers(run),
        _events(run),
    )


def _seconds(run: Run) -> float:
    end = run.manifest.finished or datetime.now(UTC)
    return max(0.0, (end - run.manifest.created).total_seconds())


def _losses(run: Run) -> tuple[int | None, float | None, float | None]:
    """The last step, the last loss, NaN and inf included, and the lowest one."""
    frame = run.read(schema.TABLE_STEPS, columns=[schema.STEP, schema.LOSS])
    if frame.empty:
        return None, None, None
    values, missing = numbers(frame[schema.LOSS])
    known = values[~missing]
    finite = known[np.isfinite(known)]
    last = float(known[-1]) if len(known) else None
    return int(frame[schema.STEP].iloc[-1]), last, float(finite.min()) if len(finite) else None


def _clipped_share(found: ClipStatistics) -> float | None:
    """None too where the policy acts inside of the backward pass: what it does is in no norm."""
    return None if found.inside or not found.policy or found.policy == "none" else found.clipped_share


def _layers(run: Run) -> tuple[LayerStatus, ...]:
    steps = recorded_steps(run)[-_RECORDED:]
    if not len(steps):
        return ()
    part = run.between(int(steps[0]), int(steps[-1]))
    return tuple(layer_status(part, each) for each in selections(part))


def _events(run: Run) -> tuple[RunEvent, ...]:
    last = run.events.tail(LAST_EVENTS)
    rows = zip(last[schema.STEP], last[schema.KIND], last[schema.MESSAGE], strict=True)
    return tuple(RunEvent(int(step), str(kind), str(message)) for step, kind, message in rows)


def layer_name(selection: Selection, among: Sequence[Selection]) -> str:
    """``encoder.lstm.0``, with the direction and the call where ``among`` has several of these."""
    name = f"{selection.module or '(model)'}.{selection.layer}"
    if any(each.reverse for each in among):
        name += f".{selection.direction}"
    return name if len({each.call for each in among}) < 2 else f"{name}#{selection.call}"


def bars(norms: Sequence[float], width: int) -> str:
    """``norms`` as a line of bars, log scale, at most ``width`` characters; ``x`` is NaN or inf, a space is 0.

    Of several norms that share a character the largest is drawn.
    """
    values = np.asarray(norms, dtype=float)
    parts = [part for part in np.array_split(values, min(width, len(values)) or 1) if len(part)]
    tops = [math.nan if not np.isfinite(part).all() else float(part.max()) for part in parts]
    logs = [math.log(top) for top in tops if top > 0]
    low, span = (min(logs), max(logs) - min(logs)) if logs else (0.0, 0.0)
    return "".join(_bar(top, low, span) for top in tops)


_BARS: Final = "▁▂▃▄▅▆▇█"


def _bar(top: float, low: float, span: float) -> str:
    if math.isnan(top):
        return "x"
    if top <= 0:
        return " "
    share = 1.0 if span == 0 else (math.log(top) - low) / span
    return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]
