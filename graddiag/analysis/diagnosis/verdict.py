"""The diagnosis of a run, from the gradient as it was measured, and what it cannot know of the run."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from graddiag import schema
from graddiag.analysis.diagnosis.causes.resumption import resumed_steps
from graddiag.analysis.diagnosis.causes.summary import healthy, not_measured, of_outcome, unknown
from graddiag.analysis.diagnosis.context import DiagnosticContext, diagnostic_context
from graddiag.analysis.diagnosis.diagnose import Basis, Diagnosis, diagnosis
from graddiag.analysis.diagnosis.findings import Finding, Note, NoteName
from graddiag.analysis.diagnosis.rules import Rule, findings_of
from graddiag.analysis.diagnosis.timeline import TimelineEvent, timeline_of
from graddiag.analysis.optimization.loss import LossDynamics
from graddiag.analysis.selection import steps_of
from graddiag.analysis.thresholds import Thresholds
from graddiag.analysis.values import source_of
from graddiag.analysis.words import number, plural
from graddiag.run import Run, numbers


def notes_on(measured: DiagnosticContext) -> tuple[Note, ...]:
    """Everything that was not measured and would have mattered, each as a sentence."""
    return (*_about_the_run(measured), *_about_tables(measured), *_about_settings(measured))


_NOT_MEASURED: Final[dict[NoteName, str]] = {
    "part-not-followed": schema.EVENT_NOT_FOLLOWED,
    "gain-missing": schema.EVENT_GAIN_MISSING,
}


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
    if (resumed := _resumed(measured)) is not None:
        yield Note("resumed", resumed)
    missing = measured.run.manifest.missing
    if missing:
        more = f" {plural(len(missing) - 1, 'other range')} of rows is missing too." if len(missing) > 1 else ""
        yield Note("rows-missing", f"The recording is incomplete: {missing[0]}.{more}")
    stopped = measured.events.get(schema.EVENT_RECORDING_STOPPED)
    if stopped is not None:
        yield Note("recording-stopped", f"A part of the recording stopped early: {stopped}")


def _resumed(measured: DiagnosticContext) -> str | None:
    """Where the training was resumed, and what differs from the processes before."""
    manifest, steps = measured.run.manifest, resumed_steps(measured)
    if not len(steps):
        return None
    if manifest.began_at == steps[0]:
        return (
            f"The run begins at step {steps[0]:,}, where the training was resumed: its steps before are in another run."
        )
    before = manifest.earlier[-1] if manifest.earlier else manifest
    pairs = [(before.environment, manifest.environment), (before.versions, manifest.versions)]
    changed = [
        f"{name} {old[name]} before, {new[name]} now"
        for old, new in pairs
        for name in old
        if old[name] != new.get(name, old[name])
    ]
    other = f" Since then it differs: {', '.join(changed)}." if changed else ""
    return f"The training was resumed at step {', '.join(f'{step:,}' for step in steps)}.{other}"


def _about_tables(measured: DiagnosticContext) -> Iterator[Note]:
    run = measured.run
    if not len(measured.recorded):
        yield Note("no-timesteps", "No timestep was recorded: nothing is known about the gradient's way through time.")
    elif all(each.touched_share is None for each in measured.reaches):
        yield Note(
            "no-immediate-gradient",
            "The immediate gradient was not recorded: the loss is taken to be at the last timestep.",
        )
    for name, kind in _NOT_MEASURED.items():
        if (said := measured.events.get(kind)) is not None:
            yield Note(name, said)
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


def diagnose(run: Run, thresholds: Thresholds | None = None, *, rules: Sequence[Rule] = ()) -> Diagnosis:
    """Whether ``run`` learned, and if not why, where, since when and what to do first; and what cannot be known.

    Two questions, answered separately: the outcome, by a goal that was logged, by what the model explains beyond a
    constant prediction, or by the loss; and the causes, ranked by evidence. Each finding has a name that stays what it
    is (see docs/verdicts.md), a severity, a sentence, its evidence with its place in the run, the rule with its
    thresholds, and advice ranked by fit. Healthy is said only of a training that demonstrably learned or is learning.

    The measured transport gain decides about vanishing and explosion, since the spectral radius of a weight does not: a
    saturated net with a radius of 1.25 may pass its gradient on unchanged. And the totals ||dL/dh_t|| alone do not
    either: with a loss at every timestep they are level in a net that forgets at once.

    Args:
        thresholds: every number that the rules use; ``dataclasses.replace(Thresholds(), spike=20)`` changes one.
        rules: custom rules, beside graddiag's; see ``graddiag.rule``.

    Raises:
        SettingError: something in ``rules`` that is no rule, or two of one name.
    """
    return diagnosis_of(diagnostic_context(run, thresholds or Thresholds()), rules)


def diagnosis_of(measured: DiagnosticContext, rules: Sequence[Rule] = ()) -> Diagnosis:
    """``diagnose`` for a run of which something may have been measured already."""
    findings = findings_of(measured, rules)
    of_its_outcome = of_outcome(measured)
    if of_its_outcome is not None:
        findings.append(of_its_outcome)
    if measured.outcome.fine and not any(each.alarming for each in findings):
        findings.append(healthy(measured))
    elif not measured.faded and measured.outcome.name == "unknown":
        findings.append(not_measured(measured))
    elif not findings or measured.outcome.name == "unknown":
        findings.append(unknown(measured))
    source = source_of(measured.run)
    ended_by = (measured.run.manifest.optimizer or {}).get("steps")
    basis = Basis(len(measured.history.steps), len(measured.recorded), len(_layers(measured)), ended_by)
    timeline = timeline_of(source, _timeline_events(measured, findings))
    return diagnosis(source, measured.outcome, findings, notes_on(measured), timeline, basis, measured.thresholds)


def _layers(measured: DiagnosticContext) -> set[tuple[str, int, str]]:
    """Layers, whatever the number of their calls in a step."""
    return {(each.module, each.layer, each.direction) for each in measured.selections}


def _timeline_events(measured: DiagnosticContext, findings: Sequence[Finding]) -> list[TimelineEvent]:
    """When each finding began, in a few words, and what became of the loss."""
    words = {
        "exploding": "the gradient explodes",
        "vanishing": "the gradient no longer reaches the first timesteps",
        "truncated-reach": "back-propagation is cut short",
        "dead-units": "units are dead",
        "saturated-gates": "activations are saturated",
        "non-finite": "NaN or inf begins",
    }
    found = [
        TimelineEvent(each.onset, each.name, words[each.name])
        for each in findings
        if each.onset is not None and each.name in words
    ]
    return found + loss_events(measured.loss, measured.origin.step)


def loss_events(loss: LossDynamics, nonfinite_from: int | None) -> list[TimelineEvent]:
    """The highest jump of the loss; and since when it rises, is NaN or inf, or is flat.

    nonfinite_from: the step of the first NaN or inf of the run, which a loss that breaks there need not repeat.
    """
    found = []
    if len(loss.jumps):
        top = int(loss.heights.argmax())
        found.append(
            TimelineEvent(
                int(loss.jumped_from[top]), "loss-jump", f"the loss jumps to {number(float(loss.heights[top]))}"
            )
        )
    end = number(loss.end)
    if loss.risen_from is not None:
        found.append(TimelineEvent(loss.risen_from, "loss", f"the loss rises to {end}"))
    elif loss.course in ("flat", "flat after falling") and loss.flat_from is not None:
        found.append(TimelineEvent(loss.flat_from, "loss", f"the loss is flat at {end}"))
    if loss.broken_from is not None and loss.broken_from != nonfinite_from:
        found.append(TimelineEvent(loss.broken_from, "loss-broken", "the loss is NaN or inf"))
    return found
