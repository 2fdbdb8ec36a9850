"""A training at a glance: its loss and its gradient norm over the same steps, and when events happened."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from graddiag import schema
from graddiag.analysis.captioning import Caption
from graddiag.analysis.frames import indexed
from graddiag.analysis.optimization.loss import LossDynamics, loss_dynamics
from graddiag.analysis.optimization.norms import NormHistory, norm_history
from graddiag.analysis.values import Ints, Result, Source, source_of
from graddiag.run import Run


@dataclass(frozen=True)
class TrainingCourse(Result):
    """loss and norms: over the steps [S] of the run, either of which may be missing. event_steps: the steps at which
    events were recorded, ascending, each once."""

    source: Source
    loss: LossDynamics
    norms: NormHistory
    event_steps: Ints
    missing: str | None = None

    @property
    def caption(self) -> str:
        known = [each.caption for each in (self.loss, self.norms) if each.missing is None]
        return self.missing or " ".join(known)

    @property
    def caption_parts(self) -> Caption:
        of = self.loss if self.loss.missing is None else self.norms
        return of.caption_parts

    def to_frame(self) -> pd.DataFrame:
        """A row a step: the loss, and the norm before and after clipping."""
        return indexed({schema.STEP: self.norms.steps}, self.loss.loss, self.norms.before, self.norms.after)


def training_course(run: Run) -> TrainingCourse:
    """Loss, gradient norm and events of every step of ``run``.

    Source: as ``loss_dynamics`` and ``norm_history``.
    """
    loss, norms = loss_dynamics(run), norm_history(run)
    at = run.read(schema.TABLE_EVENTS, columns=[schema.STEP])[schema.STEP].to_numpy(dtype=np.int64)
    nothing = norms.missing is not None and not loss.loss.measured
    missing = "No loss and no gradient norm was recorded." if nothing else None
    return TrainingCourse(source_of(run), loss, norms, np.unique(at), missing)
