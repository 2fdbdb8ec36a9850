"""nplm: Bengio's neural probabilistic language model, against counts of words and against a recurrent network.

The n - 1 words before are looked up in one table R, put in a row, and pass a tanh layer to a softmax over all words.
However large n is, what lies before the window cannot be seen: more context helps as long as the window grows, while a
recurrent network has no window at all.

Source: Bengio, Ducharme, Vincent & Jauvin (2003); the counts are n-grams with interpolated Kneser-Ney smoothing.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import graddiag
from graddiag.analysis import number
from graddiag.analysis.words import plural
from graddiag.errors import InputError
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.lab.corpora import Corpus, repeated
from graddiag.lab.experiments import plan_run
from graddiag.lab.held_out import keep_vocabulary
from graddiag.lab.next_symbol import NextSymbol
from graddiag.lab.ngrams import fit_kneser_ney
from graddiag.lab.spec import training_spec
from graddiag.lab.training import Plan, seeded
from graddiag.lab.windows import Nplm, contexts, nplm_parameters, without_table
from graddiag.presets.bench import Bench
from graddiag.presets.language import HELD_OUT_LOSS, OfText, last, perplexity, unigrams, words_at
from graddiag.presets.pages import grid, picture
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportPart

CHUNK: Final = 4096  # windows that are measured at a time


class NplmSettings(OfText):
    windows: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 4, 8), min_length=1, description="Words that are seen, n - 1, a model each."
    )
    features: int = Field(32, ge=1, description="Features of a word: the width of the table.")
    hidden: int = Field(64, ge=1, description="Units of the hidden layer, and of the recurrent network.")
    steps: int = Field(1500, ge=1, description="Steps of SGD.")
    batch: int = Field(256, ge=1, description="Windows in a batch.")
    lr: float = Field(0.5, gt=0, description="Learning rate.")
    vocabulary: int = Field(2000, ge=2, description="Different words at most.")
    rnn_steps: int = Field(600, ge=1, description="Steps of the recurrent network, an LSTM, on 20 streams of 35 words.")
    rnn_lr: float = Field(2.0, gt=0, description="Its learning rate.")

    @field_validator("windows")
    @classmethod
    def _in_order(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(windows)))


@dataclass(frozen=True)
class Fitted:
    """One model: its name, how many words it sees, its perplexity on held-out text, its parameters, its run."""

    name: str
    window: int | None
    perplexity: float
    parameters: int
    run: Path | None = None


def summarize(settings: NplmSettings, bench: Bench) -> PresetSummary:
    """Fits counts and networks over the windows, and a recurrent network, and tells their perplexities."""
    corpus = _text(settings)
    counts = [_counted(corpus, window) for window in (0, *settings.windows)]
    recurrent = _recurrent(settings, corpus, bench)
    nets = [_trained(settings, corpus, window, bench) for window in settings.windows]
    seen = (*_compared(corpus, counts, nets, recurrent), _repeats(corpus, settings), _shared(corpus, settings))
    table = pd.DataFrame(
        {
            "model": [each.name for each in (*counts, *nets, recurrent)],
            "words seen": [each.window for each in (*counts, *nets, recurrent)],
            "perplexity, held out": [each.perplexity for each in (*counts, *nets, recurrent)],
            "parameters": [each.parameters for each in (*counts, *nets, recurrent)],
        }
    ).astype({"words seen": object})
    table["words seen"] = ["all" if pd.isna(each) else int(each) for each in table["words seen"]]
    part = ReportPart(
        "Perplexity",
        tables=(grid("Every model on held-out text", table),),
        pictures=(picture("Perplexity over the window", _OVER, chart, _chart(counts, nets, recurrent)),),
    )
    runs = tuple(each.run for each in (*nets, recurrent) if each.run is not None)
    return PresetSummary(seen, (part,), runs)


def _text(settings: NplmSettings) -> Corpus:
    corpus, widest = words_at(settings.text, settings.vocabulary), settings.windows[-1]
    assert corpus.valid is not None
    found = min(len(corpus.train), len(corpus.valid))
    if found <= widest:
        raise InputError(
            f"text {corpus.source}: a window of {widest} words and the one after it need {widest + 1} words, found "
            f"{found} in the training text or in what is held out; give a longer text, or narrower windows."
        )
    return corpus


def _compared(corpus: Corpus, counts: list[Fitted], nets: list[Fitted], recurrent: Fitted) -> list[str]:
    best, best_count, first, widest = min(nets, key=_by), min(counts, key=_by), nets[0], nets[-1]
    V = plural(len(corpus.vocabulary), "word")
    seen = [
        f"On held-out text the best window network sees {_words(best)} and has a perplexity of "
        f"{number(best.perplexity)}; the best count model, {best_count.name}, has {number(best_count.perplexity)}, "
        f"word frequencies {number(unigrams(corpus))}, and to guess among all {V} {len(corpus.vocabulary):,}."
    ]
    if widest is not first:
        lowers = "lowers" if widest.perplexity < first.perplexity else "does not lower"
        seen.append(
            f"Widening the window from {first.window} to {_words(widest)} {lowers} the perplexity of the network: "
            f"{number(first.perplexity)} to {number(widest.perplexity)}; it is lowest at {best.window}."
        )
    side = "below" if recurrent.perplexity < best.perplexity else "not below"
    seen.append(
        f"A recurrent network of the same width, which has no window, reaches {number(recurrent.perplexity)} "
        f"on the same text, {side} the best of the windows."
    )
    return seen


def _words(fitted: Fitted) -> str:
    return plural(fitted.window or 0, "word")


def _repeats(corpus: Corpus, settings: NplmSettings) -> str:
    assert corpus.valid is not None
    length = settings.windows[-1] + 1
    share = repeated(corpus.train, corpus.valid, length)
    return (
        f"Of the sequences of {length} words that are held out {share:.0%} occur word for word in the training text "
        "too; a count model has memorized these."
    )


def _shared(corpus: Corpus, settings: NplmSettings) -> str:
    V, window = len(corpus.vocabulary), settings.windows[-1]
    shared = nplm_parameters(V, window, settings.features, settings.hidden)
    return (
        f"With the table shared by {plural(window, 'position')} the network has {shared:,} parameters; one that reads "
        f"words without a table would have {without_table(V, window, settings.hidden):,}."
    )


def _by(fitted: Fitted) -> float:
    return fitted.perplexity


def _counted(corpus: Corpus, window: int) -> Fitted:
    assert corpus.valid is not None
    model = fit_kneser_ney(corpus.train.tolist(), window + 1, len(corpus.vocabulary))
    found = perplexity(model.cross_entropy(corpus.valid.tolist()))
    return Fitted(f"{window + 1}-grams, Kneser-Ney", window, found, model.parameters)


def _trained(settings: NplmSettings, corpus: Corpus, window: int, bench: Bench) -> Fitted:
    """Trains one window network and records it, at the last step with the loss on held-out text before its update."""
    assert corpus.valid is not None
    name, task = f"nplm-{window}", NextSymbol(corpus, window, settings.batch)
    seen, following = contexts(corpus.train, window)
    held_out = math.inf
    with seeded(settings.seed, 1):
        model = Nplm(len(corpus.vocabulary), window, settings.features, settings.hidden)
        chance = torch.Generator().manual_seed(settings.seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=settings.lr)
        about: dict[str, Any] = {"task": "words", "model": "nplm", "seed": settings.seed, "arm": f"window {window}"}
        with graddiag.watch(
            model,
            optimizer,
            **bench.watched(name),
            **about,
            loss_reduction="mean over windows",
            every=max(1, settings.steps // 100),
            config={**settings.model_dump(mode="json"), **task.config, "window": window},
        ) as recorder:
            keep_vocabulary(task, recorder.path)
            for step in bench.steps(f"training {name}", settings.steps):
                rows = torch.randint(len(seen), (settings.batch,), generator=chance)
                loss = cross_entropy(model(seen[rows]), following[rows])
                optimizer.zero_grad()
                loss.backward()
                recorder.log(loss=loss.item())
                if step + 1 == settings.steps:
                    held_out = mean_loss(model, *contexts(corpus.valid, window))
                    recorder.log(**{HELD_OUT_LOSS: held_out})
                optimizer.step()
    return Fitted(name, window, perplexity(held_out), sum(each.numel() for each in model.parameters()), recorder.path)


@torch.no_grad()
def mean_loss(model: nn.Module, seen: Tensor, following: Tensor) -> float:
    """Cross-entropy of the words [N] that follow the windows [N, n - 1], nats a word."""
    total = sum(
        cross_entropy(model(windows), words, reduction="sum").item()
        for windows, words in zip(seen.split(CHUNK), following.split(CHUNK), strict=True)
    )
    return total / len(following)


def _recurrent(settings: NplmSettings, corpus: Corpus, bench: Bench) -> Fitted:
    """Trains a recurrent network of the same width on the same words."""
    spec = training_spec(
        "words",
        "lstm",
        seed=settings.seed,
        text=settings.text,
        vocabulary=settings.vocabulary,
        hidden=settings.hidden,
        embedding=settings.features,
        steps=settings.rnn_steps,
        lr=settings.rnn_lr,
        clip="norm:1",
        evaluate_every=settings.rnn_steps,
    )
    parameters: list[int] = []
    plan = Plan(spec, plan_run(spec).name, bench.experiment, "lstm")
    run = bench.train(plan, lambda model, task: parameters.append(sum(each.numel() for each in model.parameters())))
    held_out = last(run, HELD_OUT_LOSS)
    return Fitted("LSTM", None, perplexity(float("inf") if held_out is None else held_out), parameters[0], run.path)


def _chart(counts: list[Fitted], nets: list[Fitted], recurrent: Fitted) -> Chart:
    def curve(name: str, fitted: list[Fitted]) -> Curve:
        x = np.array([float(each.window or 0) for each in fitted])
        return Curve(name, x, np.array([each.perplexity for each in fitted]), mode="lines+markers")

    widest = nets[-1].window or 0
    level = Curve("LSTM, no window", [0, widest], [recurrent.perplexity] * 2, dashed=True)
    return Chart(
        Axis("words seen, n - 1"),
        Axis("perplexity, held out", log=True),
        (curve("n-grams, Kneser-Ney", counts), curve("window network", nets), level),
    )


_OVER: Final = "How well each model guesses the next word, over how many words before it it sees; lower is better."

PRESETS: Final = {
    "nplm": Preset(
        NplmSettings,
        quick={"windows": (1, 3), "steps": 80, "vocabulary": 500, "rnn_steps": 40, "hidden": 24, "features": 12},
        summarize=summarize,
    )
}
