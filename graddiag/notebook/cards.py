"""The HTML of each value that a notebook shows as the last line of a cell."""

import shlex
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from graddiag.analysis import Comparison, Diagnosis, Finding, diagnose, final_loss, number
from graddiag.errors import GraddiagError
from graddiag.notebook.html import STATUS_TONES, badge, card, code, folded, joined, line, settings, table
from graddiag.notebook.sparkline import sparkline
from graddiag.run import Run, RunManifest, run_title
from graddiag.store import as_left, local_run, read_manifest, shown

if TYPE_CHECKING:
    from torch import Tensor

    from graddiag.recorder import Recorder
    from graddiag.tracing import Trace

MOST_ROWS: Final = 60  # of a table
_SHAPED: Final = ("h", "h0", "c", "c0", "grad_h", "grad_h_direct", "grad_c", "grad_a", "grad_w_hh")


def diagnosis_card(diagnosis: Diagnosis) -> Markup:
    """Outcome and cause, what to do first, and the evidence folded."""
    return card(_headline(diagnosis), *_account(diagnosis), *_evidence(diagnosis), tone=diagnosis.tone)


def comparison_card(compared: Comparison) -> Markup:
    """What the comparison finds, and a table of effects for each arm."""
    groups = [(arm, list(of_arm)) for arm, of_arm in groupby(compared.effects, key=lambda each: each.arm)]
    parts = [line(compared.caption)]
    for arm, effects in groups:
        baseline = effects[0].baseline_arm
        rows = [(e.title, e.text(e.baseline_center), e.text(e.center), e.estimate_text) for e in effects]
        parts.append(table(("Quantity", baseline, arm, "Difference"), rows))
    if compared.differences:
        changed = compared.differences_table()
        settings_of_arms = [tuple(map(str, row)) for row in changed.head(MOST_ROWS).itertuples(index=False)]
        parts.append(folded("What differs in the settings", table(list(changed.columns), settings_of_arms)))
    arms = ", ".join(f"{arm.arm} ({len(arm.runs)})" for arm in compared.arms)
    return card(Markup("Comparison: {}").format(arms or "no runs"), *parts)


def run_card(run: Run) -> Markup:
    """Name, status, last loss, and what became of it."""
    manifest = run.manifest
    try:
        loss, diagnosis = final_loss(run), diagnose(run)
    except GraddiagError as error:
        return card(_named(manifest), line(str(error)), tone="bad")
    known = [] if loss is None else [line(number(loss), label="Final loss")]
    where = [] if run.path is None else [_ways(run.path)]
    return card(_named(manifest), *known, line(_headline(diagnosis)), *_account(diagnosis), *where, tone=diagnosis.tone)


def manifest_card(manifest: RunManifest) -> Markup:
    """What the run is, and everything that its manifest says, folded."""
    names = ("task", "model", "arm", "seed", "clip", "loss_reduction", "created", "finished", "error")
    known = {name: value for name in names if (value := getattr(manifest, name)) is not None}
    frame = manifest.to_frame()
    everything = settings(dict(zip(frame["setting"], frame["value"], strict=True)))
    return card(_named(manifest), settings(known), folded("All settings", everything), tone=_tone(manifest.status))


def recorder_card(recorder: "Recorder") -> Markup:
    """Status, folder, and how to open the run."""
    try:
        manifest = as_left(read_manifest(local_run(recorder.path)))
    except GraddiagError as error:
        return card(Markup("Recorder"), line(str(error)), tone="bad")
    root = recorder.path.parent.parent if manifest.experiment else recorder.path.parent
    dashboard = line(code(f"graddiag dashboard --root {shlex.quote(shown(root))}"), label="Dashboard")
    folder = line(code(shown(recorder.path)), label="Folder")
    return card(_named(manifest), folder, _ways(recorder.path), dashboard, tone=_tone(manifest.status))


def trace_card(trace: "Trace") -> Markup:
    """Layer, shapes, and the gradient's norm at each timestep."""
    tensors: Mapping[str, Tensor | None] = {name: getattr(trace, name) for name in _SHAPED}
    gates = {f"gate {name}": values for name, values in trace.gates.items()}
    shapes = {name: list(each.shape) for name, each in {**tensors, **gates}.items() if each is not None}
    picture = Markup("")
    if trace.grad_h is None:
        picture = line("No gradient reached this call.")
    elif trace.grad_h.numel():
        norms = trace.grad_h.detach().double().flatten(1).norm(dim=1).tolist()
        caption = f"Norm of dL/dh_t over timesteps 0 to {len(norms) - 1}: {number(norms[0])} at 0, {number(norms[-1])} "
        caption += "at the last (log scale)"
        picture = joined([sparkline(norms, caption), line(caption, quiet=True)])
    title = Markup("Trace of {}: {}").format(trace.key.label, trace.kind)
    return card(title, picture, table(("Tensor", "Shape"), [(name, str(shape)) for name, shape in shapes.items()]))


CARDS: Final[Mapping[str, Callable[[Any], Markup]]] = {
    "Diagnosis": diagnosis_card,
    "Comparison": comparison_card,
    "Run": run_card,
    "RunManifest": manifest_card,
    "Recorder": recorder_card,
    "Trace": trace_card,
}


def _headline(diagnosis: Diagnosis) -> Markup:
    """The outcome in its colour, and the cause."""
    cause = ""
    if diagnosis.causes:
        first = diagnosis.causes[0]
        cause = f"cause: {first.title} ({first.strength} evidence)"
    return Markup("{} {}").format(badge(diagnosis.outcome.headline, diagnosis.tone), cause)


def _account(diagnosis: Diagnosis) -> list[Markup]:
    """What became of the training and why, and what to do."""
    advised = [] if diagnosis.do_first is None else [line(diagnosis.do_first.text, label=diagnosis.first_label)]
    return [line(diagnosis.account), *advised, *(line(each.text, label="Then") for each in diagnosis.then[:1])]


def _evidence(diagnosis: Diagnosis) -> list[Markup]:
    """Findings with their evidence, and what was not measured, each folded."""
    shown = diagnosis.causes or (diagnosis.lead,)
    parts = [folded("Evidence", *map(_finding, shown), line(diagnosis.basis.sentence, quiet=True))]
    others = [each for each in diagnosis.findings if each not in shown]
    if others:
        parts.append(folded(f"Other findings ({len(others)})", *map(_finding, others)))
    if diagnosis.notes:
        parts.append(folded("What was not measured", *(line(note.sentence) for note in diagnosis.notes)))
    return parts


def _finding(finding: Finding) -> Markup:
    rows = [(each.name, f"{number(each.value)} {each.unit}".strip(), each.where) for each in finding.evidence]
    evidence = table((), rows) if rows else Markup("")
    rule = line(finding.rule, label="Rule", quiet=True) if finding.rule else Markup("")
    return joined([line(finding.sentence, label=finding.title), evidence, rule])


def _named(manifest: RunManifest) -> Markup:
    """The run's name behind that of its experiment, and its status."""
    return Markup("{} {}").format(run_title(manifest), badge(manifest.status, _tone(manifest.status)))


def _tone(status: str) -> str:
    return STATUS_TONES.get(status, "warning")


def _ways(path: Path) -> Markup:
    """How to see more of a run."""
    named = shown(path)
    notebook, terminal = code(f"graddiag.show({named!r})"), code(f"graddiag diagnose {shlex.quote(named)}")
    return line(Markup("{} in a notebook, {} in a terminal").format(notebook, terminal), label="More")
