"""What a diagnosis cannot know about a run, and what it would take."""

from collections.abc import Iterator

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.context import DiagnosticContext
from graddiag.analysis.diagnosis.findings import Note
from graddiag.analysis.selection import steps_of
from graddiag.analysis.words import plural
from graddiag.run import numbers


def notes_on(measured: DiagnosticContext) -> tuple[Note, ...]:
    """Everything that was not measured and would have mattered, each as a sentence."""
    return (*_about_the_run(measured), *_about_tables(measured), *_about_settings(measured))


def _about_the_run(measured: DiagnosticContext) -> Iterator[Note]:
    steps, t = len(measured.history.steps), measured.thresholds
    if measured.run.manifest.status == "running":
        yield Note("still-running", "The run is still being written: this is what it shows so far.")
    if 0 < steps < t.loss_steps:
        yield Note(
            "few-steps",
            f"The run has {plural(steps, 'step')}: whether the loss falls is judged from {t.loss_steps} on, and jumps "
            f"of the norm from {t.history + 1} on.",
        )
    yield Note("one-seed", "One run is one seed: `graddiag compare` shows whether other seeds do the same.")
    stopped = measured.events.get(schema.EVENT_RECORDING_STOPPED)
    if stopped is not None:
        yield Note("recording-stopped", f"A part of the recording stopped early: {stopped}")


def _about_tables(measured: DiagnosticContext) -> Iterator[Note]:
    run = measured.run
    if not len(measured.recorded):
        yield Note("no-timesteps", "No timestep was recorded: nothing is known about the gradient's way through time.")
    elif all(each.touched_share is None for each in measured.reaches):
        yield Note(
            "no-immediate-gradient",
            "The immediate gradient was not recorded: the loss is taken to be at the last timestep.",
        )
    if not len(steps_of(run, schema.TABLE_GATES)):
        yield Note("no-gates", "No gate was recorded: nothing is known about saturation.")
    if all(each.missing for each in measured.dead):
        yield Note(
            "no-snapshots",
            "No snapshot was taken: dead units cannot be distinguished from silent timesteps. "
            "graddiag.watch(..., snapshot_every=...) takes snapshots.",
        )
    if measured.history.missing:
        yield Note("no-norms", "No gradient norm was recorded: jumps of the norm and clipping cannot be judged.")
    if not measured.loss.loss.measured and not measured.loss.nonfinite:
        yield Note("no-loss", "No loss was logged: whether it falls is not known; call recorder.log(loss=...).")


def _about_settings(measured: DiagnosticContext) -> Iterator[Note]:
    manifest = measured.run.manifest
    rates = numbers(measured.run.read(schema.TABLE_STEPS, columns=[schema.LR])[schema.LR])[0]
    if len(rates) and not np.isfinite(rates).any():
        yield Note("no-optimizer", "No learning rate was recorded: the size of the steps cannot be judged by it.")
    if manifest.clip is None:
        yield Note(
            "no-clip-policy",
            "The run does not say whether it clips: what clipping did is seen, what it was meant to do is not. "
            'graddiag.watch(..., clip="norm:1.0") says it.',
        )
    if measured.history.threshold is not None and manifest.loss_reduction is None:
        yield Note(
            "no-loss-reduction",
            "The run does not say how its loss is reduced, without which a clip threshold cannot be set against "
            "another run's.",
        )
