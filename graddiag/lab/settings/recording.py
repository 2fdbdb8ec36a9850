"""What is recorded of a training, how often, and on how many threads it runs."""

from typing import Annotated, get_args

from pydantic import BaseModel, Field

from graddiag.alerts import OnFinding
from graddiag.lab.settings.declared import Shown
from graddiag.schema import OnNonfinite


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
    evaluate_every: Annotated[int | None, Shown(default="100 for words, digits and by the criterion pascanu")] = Field(
        None,
        ge=1,
        description="Measure the loss on held-out text, or the error on 10,000 new sequences or the held-out images, "
        "at every n-th step, and at the last one.",
    )
    on_nonfinite: OnNonfinite = Field(
        "continue",
        description="At a NaN or inf in loss or gradient: continue, stop before the update, or skip the update.",
    )
    on_finding: Annotated[OnFinding | None, Shown(default="nothing")] = Field(
        None,
        description="When a cause or a failed outcome appears in the diagnosis of the running training: "
        f"{' or '.join(get_args(OnFinding))}.",
    )
    check_every: int = Field(
        200,
        ge=1,
        description="With on_finding: diagnose after so many steps, in about 2% of the time at most.",
    )
    threads: int = Field(
        1, ge=1, description="Threads of torch; the same number and the same seed give the same results."
    )
