"""The pictures of a training as a whole: over the steps, all runs in one picture each."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from graddiag import analysis, figures, schema
from graddiag.analysis import Diagnosis
from graddiag.report.content import Part
from graddiag.report.pictures import Drawing, one_each, part_of
from graddiag.report.plots import Place
from graddiag.report.request import Tell
from graddiag.run import Run

_STORY: Final = (
    "Each row is a finding, from the step at which it begins to the last one that bears witness to it; what began "
    "earlier may be the cause of what began later."
)
_LAYERS: Final = (
    "Left of the line at 1 the gradient of a layer fades on its way back through time, right of it it grows; the bar "
    "is the 95% interval over steps."
)


def training_parts(
    chapter: str, runs: Sequence[Run], shown: Sequence[Run], diagnoses: Sequence[Diagnosis], tell: Tell
) -> tuple[Part, ...]:
    """Loss, norms, findings, events and updates; clipping, as it was and as it would be; the weights.

    What shows one run alone is drawn of the runs ``shown``.
    """
    tell(f"drawing the training of {len(runs)} runs" if len(runs) > 1 else f"drawing the training of {runs[0].name}")
    at = partial(Place, chapter)
    parts = (
        part_of("Training", [*_course(runs), *_findings(runs, diagnoses), *_health(runs, shown)], at),
        part_of("Clipping", _clipping(runs), at),
        part_of("Recurrent weights", _weights(runs, shown), at),
    )
    return tuple(part for part in parts if part.pictures or part.sentences)


def _course(runs: Sequence[Run]) -> list[Drawing]:
    dynamics = [analysis.loss_dynamics(run) for run in runs]
    told = all(each.missing is None for each in dynamics)
    loss = Drawing("loss", "Loss", dynamics, figures.loss)
    if not told:
        loss = Drawing("loss", "Loss", [analysis.loss_curve(run) for run in runs], figures.curves)
    norms = [analysis.norm_history(run) for run in runs]
    edge = [analysis.edge_of_stability(run) for run in runs]
    return [
        loss,
        *_bands(runs, schema.LOSS, "loss-bands", "Loss over seeds"),
        Drawing("norms", "Gradient norm before and after clipping", norms, figures.norms),
        *_bands(runs, schema.GRAD_NORM, "norm-bands", "Gradient norm before clipping over seeds", log=True),
        Drawing("stability", "Edge of stability", edge, figures.stability, optional=True),
    ]


def _bands(runs: Sequence[Run], name: str, id: str, title: str, **how: Any) -> list[Drawing]:
    """A band an arm, where an arm has several runs."""
    arms = Counter(analysis.Source(run.name, arm=run.manifest.arm, clip=run.manifest.clip).arm_label for run in runs)
    if max(arms.values(), default=0) < 2:
        return []

    def draw(held: Sequence[Any], **more: Any) -> Any:
        return figures.bands(held[0], **how, **more)

    return [Drawing(id, title, [analysis.bands(runs, name)], draw, optional=True)]


def _findings(runs: Sequence[Run], diagnoses: Sequence[Diagnosis]) -> list[Drawing]:
    timed = [each for each in diagnoses if any(finding.onset is not None for finding in each.findings)]
    return [
        Drawing("story", "Findings in order of time", timed, figures.story, optional=True, words=[_STORY]),
        Drawing("events", "Events", [analysis.events(run) for run in runs], figures.events, optional=True),
    ]


def _health(runs: Sequence[Run], shown: Sequence[Run]) -> list[Drawing]:
    """Updates, noise, depth and zeros, where they were recorded and there is something to see."""
    noise, reaches = [analysis.gradient_noise(run) for run in runs], [analysis.reaches(run) for run in runs]
    deep = [run for run in shown if len(analysis.selections(run)) > 1]
    zeros = [each for each in map(analysis.numerics, shown) if any(zero.largest > 0 for zero in each.zeros)]
    layered = [each for each in reaches if len(each.layers) > 1]
    return [
        Drawing("updates", "Size of the updates", [analysis.updates(run) for run in runs], figures.updates, True),
        Drawing("noise", "Noise of the gradient", noise, figures.noise, optional=True),
        Drawing("layers", "Transport gain, layer by layer", layered, figures.layers, True, [_LAYERS]),
        *one_each("depth", "Gradient across depth", [analysis.depth(run) for run in deep], figures.depth),
        Drawing("zeros", "Exact zeros in the gradient", zeros, figures.numerics, optional=True),
    ]


def _clipping(runs: Sequence[Run]) -> list[Drawing]:
    norms = [analysis.norm_history(run) for run in runs]
    said = analysis.captions([analysis.clip_statistics(run) for run in runs])
    clipped = any(each.source.clipped for each in norms)
    rates = [analysis.effective_lr(run) for run in runs] if clipped else []
    turned = [each for run in runs if len((each := analysis.direction_change(run)).steps)]
    looked = [analysis.counterfactual(run) for run in runs]
    tried = [analysis.what_if(run) for run in runs]
    recommended = [analysis.recommended_thresholds(run) for run in runs]

    def what_if(held: Sequence[Any], **how: Any) -> Any:
        return figures.what_if(held, recommended[0], **how)

    said_if = analysis.captions([each for each in recommended if each.missing is None])
    return [
        Drawing("coefficient", "Clip coefficient", norms, figures.clip_coefficient, words=said),
        Drawing("what-if", "What each threshold would clip", tried, what_if, words=said_if),
        Drawing("effective-lr", "Effective learning rate", rates, figures.effective_lr, optional=True),
        Drawing("direction", "Direction of the gradient after clipping", turned, figures.direction, optional=True),
        Drawing("counterfactual", "Whether clipping saved a step", looked, figures.counterfactual, optional=True),
    ]


def _weights(runs: Sequence[Run], shown: Sequence[Run]) -> list[Drawing]:
    histories = [analysis.spectrum_history(run) for run in runs]
    last = np.iinfo(np.int64).max
    spectra = [analysis.weight_spectra(run, last) for run in shown]
    return [
        Drawing("spectrum", "Recurrent weights over training", histories, figures.spectrum_history, optional=True),
        *(
            Drawing(
                f"eigenvalues-{number}", f"Eigenvalues and singular values: {each[0].source.label}", each,
                figures.spectrum, optional=True,
            )
            for number, each in enumerate(spectra, start=1)
        ),
    ]  # fmt: skip
