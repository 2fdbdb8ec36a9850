"""The text of the demonstration: the same everywhere, and its entropies against all sentences written out."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from graddiag.lab.corpora import read_characters
from graddiag.lab.grammar import (
    CHARACTERS,
    GRAMMAR,
    SENTENCE,
    SOURCE,
    Alternative,
    entropy_rate,
    grammar_text,
    unigram_entropy,
)
from graddiag.lab.spec import training_spec
from graddiag.lab.tasks import make_task


def written(symbol: str) -> Iterator[tuple[str, float]]:
    """Everything a symbol can become, with its probability."""
    for choice in GRAMMAR.get(symbol, (Alternative(1.0, ()),)):
        parts = [list(written(part)) if part in GRAMMAR else [(part, 1.0)] for part in choice.parts]
        for texts in product(*parts):
            yield "".join(text for text, _ in texts), choice.probability * math.prod(each for _, each in texts)


@pytest.fixture(scope="module")
def sentences() -> dict[str, float]:
    found = list(written(SENTENCE))
    assert len({text for text, _ in found}) == len(found), "a sentence has two derivations"
    return dict(found)


def test_the_entropies_are_those_of_all_sentences(sentences: dict[str, float]) -> None:
    """Sentences are independent and their ends are seen, so the rate is entropy over mean length."""
    assert math.fsum(sentences.values()) == pytest.approx(1)
    assert all(text.endswith(".\n") and text.count("\n") == 1 for text in sentences)
    length = math.fsum(p * len(text) for text, p in sentences.items())
    assert entropy_rate() == pytest.approx(-math.fsum(p * math.log(p) for p in sentences.values()) / length)
    frequencies: Counter[str] = Counter()
    for text, p in sentences.items():
        for character in text:
            frequencies[character] += p  # type: ignore[assignment]  # Counter counts in fractions as well
    expected = -math.fsum(each / length * math.log(each / length) for each in frequencies.values())
    assert unigram_entropy() == pytest.approx(expected)
    assert (entropy_rate(), unigram_entropy()) == (pytest.approx(0.2949, abs=1e-4), pytest.approx(2.9761, abs=1e-4))


def test_what_is_drawn_has_these_entropies(sentences: dict[str, float]) -> None:
    drawn = grammar_text().splitlines(keepends=True)[:-1]
    nats = -math.fsum(math.log(sentences[sentence]) for sentence in drawn)
    assert nats / sum(map(len, drawn)) == pytest.approx(entropy_rate(), rel=0.01)
    assert read_characters(None).unigram_entropy == pytest.approx(unigram_entropy(), rel=0.01)


def test_it_is_the_same_text_everywhere() -> None:
    text = grammar_text()
    assert len(text) == CHARACTERS
    assert text.startswith("The horses follow the green birds at the old market.\n")
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "dcb99f17088bd0d857d025026aafde161f77c3e49a71ec205eec803329e0984c"
    )
    assert grammar_text(50, seed=1) != text[:50]


def test_a_run_on_it_knows_chance_and_floor() -> None:
    config = make_task(training_spec("text", "rnn")).config
    assert config["text_source"] == SOURCE
    assert config["chance_loss"] == pytest.approx(unigram_entropy(), rel=0.01)
    assert config["entropy_rate"] == pytest.approx(entropy_rate(), abs=1e-6)
