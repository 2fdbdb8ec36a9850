"""What the presets that train on text share: where the text is from, epochs in steps, and perplexities over epochs."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import Field

from graddiag import schema
from graddiag.analysis import number
from graddiag.figures.chart import Axis, Chart, Curve
from graddiag.lab.corpora import HELD_OUT, Corpus, read_characters, read_words, unigram_perplexity
from graddiag.lab.streams import windows_in
from graddiag.lab.textfiles import DOCUMENTATION
from graddiag.presets.preset import Settings
from graddiag.run import Run

HELD_OUT_LOSS: Final = "held_out_loss"
TEST_LOSS: Final = "test_loss"
WORDS_OR_FOLDER: Final = (
    "A UTF-8 file, or a folder in the format of the Penn Treebank; none reads Python's reference documentation."
)


class OfText(Settings):
    """Settings of a preset that learns a text."""

    text: Path | None = Field(None, description=WORDS_OR_FOLDER)
    seed: int = Field(0, ge=0, description="Seed of the weights and of all that is drawn.")


def words_at(text: Path | None, vocabulary: int | None) -> Corpus:
    """The words that the task of that name reads from there."""
    return read_words(text, most=vocabulary, held_out=HELD_OUT)


def characters_at(text: Path | None) -> Corpus:
    """The characters of a text, or of Python's reference documentation, where some are held out."""
    return read_characters(text or DOCUMENTATION, HELD_OUT)


def steps_of_an_epoch(corpus: Corpus, length: int, batch: int) -> int:
    """Windows of ``length`` in each of ``batch`` streams of the training text, at least 1."""
    return max(1, windows_in(len(corpus.train), length, batch))


def perplexity(nats: float) -> float:
    """exp of a cross-entropy, inf where that is beyond a float."""
    return float(np.exp(np.float64(min(nats, 700.0))))


def held_out_curve(run: Run, epoch: int, name: str = "held out") -> Curve:
    """Perplexity on the held-out text over the epochs, a point where it was measured."""
    found = run.steps[[schema.STEP, HELD_OUT_LOSS]].dropna()
    x = (found[schema.STEP].to_numpy() + 1) / epoch
    return Curve(name, x, np.exp(found[HELD_OUT_LOSS].to_numpy(np.float64).clip(max=700)), mode="lines+markers")


def training_curve(run: Run, epoch: int, nats: Callable[[np.ndarray], np.ndarray], name: str = "training") -> Curve:
    """Perplexity on the training text: exp of the mean loss of each stretch of an epoch's length.

    nats: from the loss that was recorded to nats a symbol.
    """
    losses = nats(run.steps[schema.LOSS].to_numpy(np.float64))
    parts = [losses[start : start + epoch] for start in range(0, len(losses), epoch)]
    ends = np.minimum(np.arange(1, len(parts) + 1) * epoch, len(losses)) / epoch
    means = np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in parts])
    return Curve(name, ends, np.exp(means.clip(max=700)), mode="lines+markers", dashed=True)


def last(run: Run, column: str) -> float | None:
    """The last number of a column of the steps; None where it was not measured."""
    found = run.steps[column].dropna() if column in run.steps else run.steps[schema.LOSS].iloc[:0]
    return float(found.iloc[-1]) if len(found) else None


def by_epoch(curves: tuple[Curve, ...], levels: tuple[tuple[float, str], ...]) -> Chart:
    return Chart(Axis("epoch"), Axis("perplexity", log=True), curves, levels)


def unigrams(corpus: Corpus) -> float:
    """Perplexity of the held-out text under the frequencies of the training text."""
    assert corpus.valid is not None
    return unigram_perplexity(corpus, corpus.valid)


def against(found: float | None, reference: float, name: str) -> str:
    """Whether a perplexity is below a reference, in words."""
    if found is None:
        return f"it was not measured; {name} alone give {number(reference)}"
    side = "below" if found < reference else "not below"
    return f"{number(found)}, {side} the {number(reference)} of {name} alone"
