"""cbow: word vectors learned from the words around (CBOW), and from a word to those around it (skip-gram).

The table is that of the neural language model, without the hidden layer. Words that are used in like places come to lie
close together; the map shows the rows of the table on their two principal components.

Source: Mikolov, Chen, Corrado & Dean (2013), section 3; the softmax is a full one.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

import graddiag
from graddiag.analysis import number
from graddiag.errors import InputError
from graddiag.figures.chart import Axis, Chart, Curve, chart
from graddiag.lab.corpora import UNKNOWN, Corpus
from graddiag.lab.held_out import keep_vocabulary
from graddiag.lab.next_symbol import NextSymbol
from graddiag.lab.training import seeded
from graddiag.lab.windows import Cbow, SkipGram, nearest, plane, surroundings
from graddiag.presets.bench import Bench
from graddiag.presets.language import HELD_OUT_LOSS, OfText, words_at
from graddiag.presets.pages import grid, listed, picture
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportPart

Way = Literal["cbow", "skip-gram"]
CHUNK: Final = 1024  # windows that are measured at a time
WAYS: Final[tuple[Way, ...]] = ("cbow", "skip-gram")


class CbowSettings(OfText):
    reach: int = Field(3, ge=1, description="Words on either side.")
    features: int = Field(48, ge=2, description="Features of a word: the width of the table.")
    steps: int = Field(2000, ge=1, description="Steps of Adam.")
    batch: int = Field(256, ge=1, description="Windows in a batch.")
    lr: float = Field(0.005, gt=0, description="Learning rate.")
    vocabulary: int = Field(1500, ge=10, description="Different words at most.")
    words: tuple[str, ...] = Field(
        (), description="Whose neighbours to show; none takes the eight most frequent long ones."
    )
    neighbours: int = Field(5, ge=1, description="Neighbours of each.")
    on_map: int = Field(40, ge=2, description="Words on the map, the most frequent long ones.")


@dataclass(frozen=True)
class Vectors:
    """The table [V, m] that one way has learned, the loss of each step, that on held-out text before the last update,
    nats a word, and its run."""

    way: Way
    table: Tensor
    losses: np.ndarray
    held_out: float
    run: Path


def summarize(settings: CbowSettings, bench: Bench) -> PresetSummary:
    """Learns both tables, and tells whose neighbours are whose."""
    corpus = _text(settings)
    learned = [learn_vectors(settings, corpus, way, bench) for way in WAYS]
    asked = [corpus.vocabulary.index(word) for word in settings.words if word in corpus.vocabulary]
    asked = asked or _long_words(corpus, 8)
    unknown = [word for word in settings.words if word not in corpus.vocabulary]
    neighbours = {
        each.way: {word: nearest(each.table, word, settings.neighbours) for word in asked} for each in learned
    }
    seen = [_nearest_of(corpus, neighbours["cbow"], asked[0])]
    seen.append(_agreement(neighbours, asked, settings.neighbours))
    seen += [
        f"{each.way}: the loss goes from {number(float(each.losses[0]))} to {number(float(each.losses[-50:].mean()))} "
        f"nats a word, on held-out text {number(each.held_out)}; to guess among all words costs "
        f"{number(float(np.log(len(corpus.vocabulary))))}."
        for each in learned
    ]
    if unknown:
        seen.append(f"Not in the vocabulary: {listed(unknown)}.")
    mapped = _long_words(corpus, settings.on_map)
    parts = tuple(
        ReportPart(
            each.way,
            tables=(grid(f"Nearest words, {each.way}", _table(corpus, neighbours[each.way])),),
            pictures=(picture(f"Map of words, {each.way}", _MAP, chart, _map(corpus, each.table, mapped)),),
        )
        for each in learned
    )
    learning = ReportPart("Learning", pictures=(picture("Loss", _LOSS, chart, _losses(learned)),))
    return PresetSummary(tuple(seen), (*parts, learning), tuple(each.run for each in learned))


def _text(settings: CbowSettings) -> Corpus:
    corpus, needed = words_at(settings.text, settings.vocabulary), 2 * settings.reach + 1
    assert corpus.valid is not None
    for found, what in ((len(corpus.train), "to train on"), (len(corpus.valid), "held out")):
        if found < needed:
            raise InputError(
                f"text {corpus.source}: {settings.reach} words on either side need a text of {needed} or more, found "
                f"{found} {what}; give a longer text, or a smaller reach."
            )
    return corpus


def learn_vectors(settings: CbowSettings, corpus: Corpus, way: Way, bench: Bench) -> Vectors:
    """Learns one table and records the training, at the last step with the loss on held-out text before its update."""
    assert corpus.valid is not None
    task = NextSymbol(corpus, 2 * settings.reach, settings.batch)
    around, middle = surroundings(corpus.train, settings.reach)
    losses, held_out = [], math.inf
    with seeded(settings.seed, 1):
        kind = Cbow if way == "cbow" else SkipGram
        model = kind(len(corpus.vocabulary), settings.features)
        chance = torch.Generator().manual_seed(settings.seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
        with graddiag.watch(
            model,
            optimizer,
            **bench.watched(way),
            task="words",
            model=way,
            seed=settings.seed,
            arm=way,
            loss_reduction="mean over words",
            every=max(1, settings.steps // 100),
            config={**settings.model_dump(mode="json"), **task.config},
        ) as recorder:
            keep_vocabulary(task, recorder.path)
            for step in bench.steps(f"training {way}", settings.steps):
                rows = torch.randint(len(middle), (settings.batch,), generator=chance)
                loss = _loss(model, way, around[rows], middle[rows])
                optimizer.zero_grad()
                loss.backward()
                losses.append(loss.item())
                recorder.log(loss=losses[-1])
                if step + 1 == settings.steps:
                    held_out = _held_out(model, way, *surroundings(corpus.valid, settings.reach))
                    recorder.log(**{HELD_OUT_LOSS: held_out})
                optimizer.step()
    return Vectors(way, model.table.weight.detach(), np.array(losses), held_out, recorder.path)


@torch.no_grad()
def _held_out(model: Cbow | SkipGram, way: Way, around: Tensor, middle: Tensor) -> float:
    """The loss over all windows of a text, around [N, 2 k] and middle [N], nats a word."""
    parts = zip(around.split(CHUNK), middle.split(CHUNK), strict=True)
    return sum(_loss(model, way, *part).item() * len(part[1]) for part in parts) / len(middle)


def _loss(model: Cbow | SkipGram, way: Way, around: Tensor, middle: Tensor) -> Tensor:
    """Nats a word, a mean over all that are guessed: the middle one, or each of those around, around [N, 2 k]."""
    if way == "cbow":
        return cross_entropy(model(around), middle)
    logits = model(middle)
    return torch.stack([cross_entropy(logits, column) for column in around.unbind(1)]).mean()


def _long_words(corpus: Corpus, count: int) -> list[int]:
    """The most frequent words of four letters or more."""
    words = enumerate(corpus.vocabulary)
    found = [number for number, word in words if len(word) > 3 and word.isalpha() and word != UNKNOWN]
    return found[:count] or list(range(min(count, len(corpus.vocabulary))))


def _nearest_of(corpus: Corpus, found: dict[int, list[tuple[int, float]]], word: int) -> str:
    near = [f"{corpus.vocabulary[other]} ({cosine:.2f})" for other, cosine in found[word]]
    return f"Under CBOW the nearest words of {corpus.vocabulary[word]}, with the cosine, are {listed(near)}."


def _agreement(found: dict[Way, dict[int, list[tuple[int, float]]]], asked: list[int], count: int) -> str:
    one, other = ({word: {near for near, _ in found[way][word]} for word in asked} for way in WAYS)
    same, total = sum(len(one[word] & other[word]) for word in asked), sum(len(one[word]) for word in asked)
    of = "that word" if len(asked) == 1 else f"each of {len(asked)} words"
    return f"Of the {count} nearest of {of}, CBOW and skip-gram share {same} of {total}."


def _table(corpus: Corpus, found: dict[int, list[tuple[int, float]]]) -> pd.DataFrame:
    rows = [
        {
            "word": corpus.vocabulary[word],
            "seen": corpus.counts[word],
            "nearest": ", ".join(f"{corpus.vocabulary[other]} {cosine:.2f}" for other, cosine in near),
        }
        for word, near in found.items()
    ]
    return pd.DataFrame(rows)


def _map(corpus: Corpus, table: Tensor, shown: list[int]) -> Chart:
    places = plane(table[shown]).numpy()
    names = tuple(corpus.vocabulary[word] for word in shown)
    words = Curve("words", places[:, 0], places[:, 1], mode="text", texts=names)
    return Chart(Axis("first principal component"), Axis("second"), (words,), body=560)


def _losses(learned: list[Vectors]) -> Chart:
    curves = tuple(Curve(each.way, np.arange(len(each.losses)), each.losses) for each in learned)
    return Chart(Axis("step"), Axis("loss, nats a word"), curves)


_MAP: Final = "What is close here is close on the two main axes of the table; the axes themselves mean nothing."
_LOSS: Final = "Cross-entropy of the words that are guessed; CBOW guesses from several, skip-gram from one."

PRESETS: Final = {
    "cbow": Preset(CbowSettings, quick={"steps": 200, "vocabulary": 400, "features": 16}, summarize=summarize)
}
