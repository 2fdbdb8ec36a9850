"""What is recorded of a training, how often, and on how many threads it runs."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from graddiag.lab.settings.declared import Shown

OnNonfinite = Literal["continue", "stop"]


class RecordingSettings(BaseModel):
    """What is kept."""

    every: Annotated[int, Shown(default="about 300 times")] = Field(
        1, ge=1, description="Record timesteps at every n-th step; scalars are recorded at each step."
    )
    snapshot_every: Annotated[int | None, Shown(default="never")] = Field(
        None,
        ge=1,
        description="Take a snapshot (units, credit matrix, spectra) at every n-th step, a multiple of every.",
    )
    try_thresholds_every: Annotated[int | None, Shown(default="never", former="look_every")] = Field(
        None,
        ge=1,
        description="At every n-th step try several clip thresholds on the same batch, and record the loss after each.",
    )
    evaluate_every: Annotated[int | None, Shown(default="100 for words, else never")] = Field(
        None, ge=1, description="Measure the loss on held-out text at every n-th step, and at the last one."
    )
    on_nonfinite: OnNonfinite = Field("continue", description="At a NaN or inf in loss or gradient: continue or stop.")
    threads: int = Field(
        1, ge=1, description="Threads of torch; the same number and the same seed give the same results."
    )
