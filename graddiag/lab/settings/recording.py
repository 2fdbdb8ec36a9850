"""What is recorded of a training, how often, and on how many threads it runs."""

from typing import Literal

from pydantic import BaseModel, Field

OnNonfinite = Literal["continue", "stop"]


class RecordingSettings(BaseModel):
    """What is kept.

    Attributes:
        every: steps from one recording of the timesteps to the next; scalars are recorded at every step.
        snapshot_every: steps from one snapshot to the next, a multiple of ``every``; None takes none.
        look_every: steps from one look at what other clip thresholds would have come to, to the next; None never looks.
            See ``graddiag.Recorder.look``.
        evaluate_every: steps from one measurement of the loss on text held out from training to the next, each before
            the update of its step; the last step measures too. None holds nothing out of a single text.
        on_nonfinite: at a NaN or inf in loss or gradient, continue or stop.
        threads: torch threads; results are the same for the same number.
    """

    every: int = Field(1, ge=1)
    snapshot_every: int | None = Field(None, ge=1)
    look_every: int | None = Field(None, ge=1)
    evaluate_every: int | None = Field(None, ge=1)
    on_nonfinite: OnNonfinite = "continue"
    threads: int = Field(1, ge=1)
