"""char-rnn: a network of characters that writes, colder or hotter, once it is trained.

Karpathy's settings: two layers of LSTM, RMSProp, weights from U(-.08, .08), forget bias 1, every entry of the gradient
clamped to 5. To write, a character is drawn from softmax(logits / temperature) and fed back.

Source: Karpathy (2015), char-rnn; "The unreasonable effectiveness of recurrent neural networks".
"""

import math
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Generator, Tensor

from graddiag import analysis, schema
from graddiag.analysis import number
from graddiag.figures import gates
from graddiag.figures.chart import chart
from graddiag.kinds import CELL_TYPES, ModelKind
from graddiag.lab.experiments import plan_run
from graddiag.lab.models import SequenceModel
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.task import Task
from graddiag.lab.textfiles import DOCUMENTATION
from graddiag.lab.training import Plan
from graddiag.presets.bench import Bench
from graddiag.presets.language import (
    HELD_OUT_LOSS,
    OfText,
    against,
    by_epoch,
    characters_at,
    held_out_curve,
    last,
    perplexity,
    steps_of_an_epoch,
    training_curve,
    unigrams,
)
from graddiag.presets.pages import folders, grid, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportGrid, ReportPart
from graddiag.run import Run


class CharRnn(OfText):
    model: ModelKind = Field("lstm", description="Kind of cell.")
    hidden: int = Field(128, ge=1, description="Units of each layer.")
    layers: int = Field(2, ge=1, description="Recurrent layers.")
    length: int = Field(50, ge=1, description="Timesteps that back-propagation reaches; the state is carried over.")
    batch: int = Field(50, ge=1, description="Streams of text side by side.")
    lr: float = Field(0.002, gt=0, description="Learning rate of RMSProp, whose smoothing constant is .95.")
    clamp: float = Field(5.0, gt=0, description="Each entry of the gradient is clamped to this.")
    init: float = Field(0.08, gt=0, description="Weights are drawn from U(-init, init).")
    steps: int = Field(1000, ge=1, description="Steps of training.")
    temperatures: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.2, 0.5, 1.0), min_length=1, description="What the logits are divided by."
    )
    prime: str = Field("The ", min_length=1, description="What the network reads before it writes.")
    characters: int = Field(300, ge=1, description="How many characters it writes at each temperature.")


@dataclass(frozen=True)
class Written:
    """What was written at a temperature, and how much of it are words that the training text has."""

    temperature: float
    text: str
    known: float


def spec_of(settings: CharRnn) -> TrainingSpec:
    """The training as the lab has it."""
    gated = {} if CELL_TYPES[settings.model].keeping is None else {"forget_bias": 1.0}
    return training_spec(
        "text",
        settings.model,
        text=settings.text or DOCUMENTATION,
        seed=settings.seed,
        hidden=settings.hidden,
        layers=settings.layers,
        embedding=settings.hidden,
        length=settings.length,
        batch=settings.batch,
        optimizer="rmsprop:0.95",
        lr=settings.lr,
        clip=f"value:{settings.clamp!r}",
        init_uniform=settings.init,
        steps=settings.steps,
        stateful=True,
        evaluate_every=max(1, settings.steps // 5),
        **gated,
    )


def summarize(settings: CharRnn, bench: Bench) -> PresetSummary:
    """Trains, writes at each temperature, and tells how near to the text that is."""
    corpus = characters_at(settings.text)
    known = frozenset(corpus.text(corpus.train).split())
    prime = "".join(each for each in settings.prime if each in corpus.vocabulary) or corpus.vocabulary[0]
    written: list[Written] = []

    def write(model: SequenceModel, task: Task) -> None:
        chance = torch.Generator().manual_seed(settings.seed)
        for temperature in settings.temperatures:
            text = corpus.text(
                sample(model, _numbers(prime, corpus.vocabulary), settings.characters, temperature, chance)
            )
            written.append(Written(temperature, text, share_known(text, known)))

    run = bench.train(Plan(spec_of(settings), plan_run(spec_of(settings)).name, bench.experiment, "char-rnn"), write)
    epoch, reference = steps_of_an_epoch(corpus, settings.length, settings.batch), unigrams(corpus)
    held_out = last(run, HELD_OUT_LOSS)
    found = None if held_out is None else perplexity(held_out)
    bits = "" if held_out is None else f" That is {number(held_out / math.log(2))} bits a character."
    seen = (
        f"After {settings.steps} steps, {number(settings.steps / epoch)} epochs, the perplexity of a held-out "
        f"character is {against(found, reference, 'character frequencies')}.{bits}",
        _told(written),
        _clamped(run, settings.clamp),
    )
    return PresetSummary(seen, _parts(run, written, epoch, reference), folders([run]))


def sample(model: SequenceModel, prime: Tensor, count: int, temperature: float, chance: Generator) -> Tensor:
    """``count`` symbols [count] written after ``prime`` [symbols]: each drawn from softmax(logits / temperature).

    Nothing of the network is changed, and nothing of what it learned is dropped out. Where its logits are NaN or inf,
    as those of a training that diverged, it writes no further.
    """
    training = model.training
    model.eval()
    written = [prime[:0]]
    with torch.no_grad():
        logits, state = model(prime.unsqueeze(1))
        for _ in range(count):
            heights = logits[-1, 0].double()
            if not heights.isfinite().all():
                break
            odds = torch.softmax((heights - heights.max()) / temperature, dim=0)
            symbol = torch.multinomial(odds, 1, generator=chance)
            written.append(symbol)
            logits, state = model(symbol.unsqueeze(1), state)
    model.train(training)
    return torch.cat(written)


def share_known(text: str, known: frozenset[str]) -> float:
    """The share of the words of ``text``, its last one aside, that are ``known``; NaN where there is none."""
    words = text.split()[:-1]
    return sum(word in known for word in words) / len(words) if words else math.nan


def _numbers(text: str, vocabulary: tuple[str, ...]) -> Tensor:
    return torch.tensor([vocabulary.index(each) for each in text])


def _told(written: list[Written]) -> str:
    shares = [f"{each.known:.0%} at temperature {each.temperature:g}" for each in written if each.known == each.known]
    if not shares:
        return "It wrote no whole word at any temperature."
    return f"Of the words it writes, these shares are in the training text: {', '.join(shares)}."


def _clamped(run: Run, clamp: float) -> str:
    steps = run.steps
    share = float((steps[schema.GRAD_NORM_CLIPPED] < steps[schema.GRAD_NORM]).mean())
    return (
        f"The clamp at {clamp:g} acted at {share:.0%} of the steps; the largest norm before it was "
        f"{number(float(steps[schema.GRAD_NORM].max()))}."
    )


def _parts(run: Run, written: list[Written], epoch: int, reference: float) -> tuple[ReportPart, ...]:
    stretch = max(1, len(run.steps) // 20)
    training = training_curve(run, stretch, lambda loss: loss)
    moved = np.asarray(training.x) * stretch / epoch
    curves = (held_out_curve(run, epoch), type(training)("training", moved, training.y, dashed=True))
    samples = pd.DataFrame(
        {"temperature": [each.temperature for each in written], "text": [each.text for each in written]}
    )
    shown = picture(
        "Perplexity by epoch", _PERPLEXITY, chart, by_epoch(curves, ((reference, "character frequencies"),))
    )
    through = [
        picture(f"Gates, {selection.label}", _GATES, gates, analysis.gate_history(run, selection), title=False)
        for selection in analysis.selections(run)
    ]
    return (
        ReportPart("Written", tables=(_samples(samples),)),
        ReportPart("Learning", pictures=(shown,)),
        ReportPart("The gradient", pictures=recorded([run])),
        ReportPart("Gates", pictures=tuple(through)),
    )


def _samples(frame: pd.DataFrame) -> ReportGrid:
    return grid("What it writes", frame)


_PERPLEXITY: Final = "Below the dotted line the network knows more than how often each character comes; log scale."
_GATES: Final = "The mean of each gate over training, and the share of its activations that are saturated."

PRESETS: Final = {
    "char-rnn": Preset(CharRnn, quick={"hidden": 24, "steps": 40, "characters": 80, "batch": 20}, summarize=summarize)
}
