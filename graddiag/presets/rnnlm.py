"""rnnlm: Mikolov's recurrent language model, with the error vector clamped inside of back-propagation.

One hidden layer of sigmoid units; the words in classes by frequency, so that a step costs C + V / C outputs instead of
V; back-propagation through time cut after a few steps, the state carried on; and each entry of the error vector clamped
to +-15 at each timestep of it, which is where gradient clipping began.

rnnlm learns from one word at a time, so a cutoff is in units of a single word's loss. Here the loss is the sum over the
timesteps of a window and the mean over N streams: each sample's error carries 1/N, and the cutoff is divided by N too.

Sources: Mikolov, Karafiat, Burget, Cernocky & Khudanpur (2010); Mikolov et al. (2011), section 4; rnnlm-0.4b.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from graddiag import schema
from graddiag.analysis import number
from graddiag.errors import SettingError
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.lab.corpora import Corpus
from graddiag.lab.ngrams import fit_kneser_ney
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.language import (
    HELD_OUT_LOSS,
    OfText,
    against,
    by_epoch,
    held_out_curve,
    last,
    perplexity,
    steps_of_an_epoch,
    training_curve,
    unigrams,
    words_at,
)
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportPart
from graddiag.run import Run

FREE: Final = "baseline"
ORDER: Final = 3  # of the count model it is held against


class Rnnlm(OfText):
    hidden: int = Field(100, ge=1, description="Sigmoid units of the hidden layer.")
    classes: int = Field(50, ge=1, description="Classes of words in the output layer.")
    bptt: int = Field(10, ge=1, description="Timesteps that back-propagation reaches; the state is carried over.")
    cutoff: float = Field(15.0, gt=0, description="Each entry of a sample's error vector is clamped to this.")
    tight: float = Field(0.2, gt=0, description="A second cutoff, low enough to be reached.")
    lr: float = Field(0.1, gt=0, description="Learning rate of SGD, on the sum over the timesteps.")
    batch: int = Field(10, ge=1, description="Streams of text side by side.")
    vocabulary: int = Field(10_000, ge=2, description="Different words at most.")
    epochs: float = Field(1.0, gt=0, description="Times that the text is read.")

    @model_validator(mode="after")
    def _two_cutoffs(self) -> "Rnnlm":
        if arm(self.cutoff) == arm(self.tight):
            raise SettingError(f"tight {self.tight:g}: it is the cutoff itself, {self.cutoff:g}; give two that differ.")
        return self


def sweeps(settings: Rnnlm) -> Sequence[SweepSpec]:
    """Without clipping, with rnnlm's cutoff, and with a tight one."""
    epoch = steps_of_an_epoch(words_at(settings.text, settings.vocabulary), settings.bptt, settings.batch)
    steps = max(1, round(epoch * settings.epochs))
    given: dict[str, Any] = {
        "nonlinearity": "sigmoid",
        "output": f"classes:{settings.classes}",
        "hidden": settings.hidden,
        "embedding": settings.hidden,
        "lr": settings.lr,
        "loss": "sum",
        "batch": settings.batch,
        "vocabulary": settings.vocabulary,
        "stateful": True,
        "steps": steps,
        "evaluate_every": max(1, steps // 6),
    }
    if settings.text is not None:
        given["text"] = str(settings.text)
    cuts = (settings.cutoff, settings.tight)
    arms = {FREE: {}, **{arm(cut): {"clip": f"bptt:{cut / settings.batch!r}"} for cut in cuts}}
    spec = {"name": "lab-rnnlm", "task": "words", "model": "rnn", "settings": given, "arms": arms}
    return (sweep_spec({**spec, "seeds": [settings.seed], "lengths": [settings.bptt]}),)


def arm(cutoff: float) -> str:
    return f"cutoff {cutoff:g}"


def summarize(settings: Rnnlm, bench: Bench) -> PresetSummary:
    """Trains the arms, and tells their perplexity, what the cutoffs changed, and what the classes save."""
    specs = [spec.model_copy(update={"name": bench.experiment}) for spec in sweeps(settings)]
    runs = bench.sweep(specs)
    corpus = words_at(settings.text, settings.vocabulary)
    epoch = steps_of_an_epoch(corpus, settings.bptt, settings.batch)
    references = {"word frequencies": unigrams(corpus), f"{ORDER}-grams, Kneser-Ney": kneser_ney(corpus, ORDER)}
    found = {str(run.manifest.arm): _perplexity(run) for run in runs}
    wide, tight = arm(settings.cutoff), arm(settings.tight)
    words = len(corpus.vocabulary)
    seen = (
        f"With rnnlm's cutoff of {settings.cutoff:g} the perplexity on held-out text is "
        f"{against(found[wide], references['word frequencies'], 'word frequencies')}; {ORDER}-grams with "
        f"Kneser-Ney smoothing reach {number(references[f'{ORDER}-grams, Kneser-Ney'])}.",
        _changed(runs[0], runs[1], settings),
        _changed(runs[0], runs[2], settings)
        + f" Its perplexity is {number(found[tight])}, without clipping {number(found[FREE])}.",
        f"With {settings.classes} classes a word costs about {round(settings.classes + words / settings.classes)} "
        f"outputs instead of {words}.",
    )
    curves = tuple(held_out_curve(run, epoch, str(run.manifest.arm)) for run in runs)
    levels = tuple((value, name) for name, value in references.items())
    training = training_curve(runs[0], max(1, epoch // 6), lambda loss: loss / settings.bptt, "training, baseline")
    table = pd.DataFrame({"arm": list(found), "perplexity, held out": list(found.values())})
    learning = ReportPart(
        "Learning",
        tables=(grid("Perplexity on held-out text", table),),
        pictures=(
            picture("Perplexity by epoch", _PERPLEXITY, chart, by_epoch((*curves, _spread(training, epoch)), levels)),
            picture("What is sent back", _SENT, chart, _sent(runs, settings)),
        ),
    )
    return PresetSummary(seen, (learning, ReportPart("The gradient", pictures=recorded(runs))), folders(runs))


def kneser_ney(corpus: Corpus, order: int) -> float:
    """Perplexity of the held-out text under n-grams of the training text."""
    assert corpus.valid is not None
    model = fit_kneser_ney(corpus.train.tolist(), order, len(corpus.vocabulary))
    return perplexity(model.cross_entropy(corpus.valid.tolist()))


def _perplexity(run: Run) -> float:
    held_out = last(run, HELD_OUT_LOSS)
    return float("nan") if held_out is None else perplexity(held_out)


def _changed(free: Run, clipped: Run, settings: Rnnlm) -> str:
    """Whether a cutoff ever changed anything: the first step at which the losses of both runs part."""
    one, other = (run.steps[schema.LOSS].to_numpy(np.float64) for run in (free, clipped))
    parted = np.flatnonzero(one != other)
    if not len(parted):
        return f"The {clipped.manifest.arm} changed nothing: no sample's error vector was longer than " + (
            f"{number(float(_longest(free, settings).max()))}, and none of its entries is."
        )
    return f"The {clipped.manifest.arm} changed the training from step {max(0, int(parted[0]) - 1)} on."


def _longest(run: Run, settings: Rnnlm) -> "pd.Series[float]":
    """The longest dL/dh_t of a sample at each recorded step, in units of that sample's own loss."""
    return run.timesteps.groupby(schema.STEP)[schema.GRAD_H_MAX].max().astype(float) * settings.batch


def _sent(runs: Sequence[Run], settings: Rnnlm) -> Chart:
    """The longest dL/dh_t of a sample at each recorded step, and the cutoffs."""
    curves = []
    for run in runs:
        longest = _longest(run, settings)
        curves.append(Curve(str(run.manifest.arm), longest.index.to_numpy(), longest.to_numpy()))
    levels = ((settings.cutoff, "rnnlm's cutoff"), (settings.tight, "the tight one"))
    return Chart(Axis("step"), Axis("longest ‖dL/dh‖ of a sample", log=True), tuple(curves), levels)


def _spread(curve: Curve, epoch: int) -> Curve:
    """A training curve whose stretches are sixths of an epoch, over epochs."""
    part = max(1, epoch // 6)
    return Curve(curve.name, np.asarray(curve.x) * part / epoch, curve.y, mode=curve.mode, dashed=True)


_PERPLEXITY: Final = "Below a dotted line the network knows more than that count of words; log scale."
_SENT: Final = (
    "The longest error vector of any sample and timestep at each recorded step, before clipping: a cutoff far above it "
    "does nothing. The clamp is on each entry, which is never longer than the vector."
)

PRESETS: Final = {
    "rnnlm": Preset(
        Rnnlm,
        quick={"hidden": 16, "classes": 20, "vocabulary": 500, "epochs": 0.1},
        summarize=summarize,
        sweeps=sweeps,
    )
}
