"""The pictures of a training as a whole: over the steps, all runs in one picture each."""

from collections.abc import Sequence
from functools import partial

from graddiag import analysis, figures
from graddiag.report.content import Part
from graddiag.report.pictures import Drawing, part_of
from graddiag.report.plots import Place
from graddiag.report.request import Tell
from graddiag.run import Run


def training_parts(chapter: str, runs: Sequence[Run], tell: Tell) -> tuple[Part, ...]:
    """Loss, norms, events and updates; clipping, as it was and as it would be; the weights."""
    tell(f"drawing the training of {len(runs)} runs" if len(runs) > 1 else f"drawing the training of {runs[0].name}")
    at = partial(Place, chapter)
    norms = [analysis.norm_history(run) for run in runs]
    training = (
        Drawing("loss", "Loss", [analysis.loss_curve(run) for run in runs], figures.curves),
        Drawing("norms", "Gradient norm before and after clipping", norms, figures.norms),
        Drawing("events", "Events", [analysis.events(run) for run in runs], figures.events, optional=True),
        Drawing("updates", "Size of the updates", [analysis.updates(run) for run in runs], figures.updates, True),
    )
    clipping = (
        Drawing("coefficient", "Clip coefficient", norms, figures.clip_coefficient),
        Drawing("what-if", "What each threshold would clip", [analysis.what_if(run) for run in runs], figures.what_if),
    )
    histories = [analysis.spectrum_history(run) for run in runs]
    weights = (Drawing("spectrum", "Spectrum over training", histories, figures.spectrum_history, optional=True),)
    parts = (
        part_of("Training", training, at),
        part_of("Clipping", clipping, at),
        part_of("Recurrent weights", weights, at),
    )
    return tuple(part for part in parts if part.pictures or part.sentences)
