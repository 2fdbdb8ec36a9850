"""Interpolated Kneser-Ney against its definition, written out slowly, and against a case worked by hand."""

import math
import random

import pytest

from graddiag.errors import SettingError
from graddiag.lab.ngrams import fit_kneser_ney

WORDS = random.Random(0).choices(range(6), weights=[8, 5, 3, 2, 1, 1], k=300)


def by_definition(words: list[int], order: int, vocabulary: int, word: int, history: tuple[int, ...]) -> float:
    """p(word | history), counting in the text anew each time."""

    def grams(n: int) -> list[tuple[int, ...]]:
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    def count(gram: tuple[int, ...]) -> int:
        if len(gram) == order:
            return grams(order).count(gram)
        return len({longer[0] for longer in grams(len(gram) + 1) if longer[1:] == gram})

    def discount(n: int) -> float:
        counts = [count(gram) for gram in set(grams(n))]
        n1, n2 = counts.count(1), counts.count(2)
        return n1 / (n1 + 2 * n2) if n1 else 0.5

    def p(history: tuple[int, ...]) -> float:
        less = p(history[1:]) if history else 1 / vocabulary
        counts = [count((*history, other)) for other in range(vocabulary)]
        if not sum(counts):
            return less
        D = discount(len(history) + 1)
        return (max(counts[word] - D, 0) + D * sum(c > 0 for c in counts) * less) / sum(counts)

    return p(history)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_probability_is_that_of_the_definition(order: int) -> None:
    words = WORDS[:60]
    model = fit_kneser_ney(words, order, 7)
    histories = [(), (0,), (6,), (4, 5), (0, 0), (6, 1), (1, 6)]
    for history in histories:
        kept = history[len(history) - order + 1 :] if order > 1 else ()
        for word in range(7):
            expected = by_definition(words, order, 7, word, kept)
            assert model.probability(word, history) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one_after_any_history(order: int) -> None:
    model = fit_kneser_ney(WORDS, order, 9)
    for history in ((), (0,), (8,), (3, 4, 5), (8, 0, 1), (0, 0, 0, 0, 0, 0)):
        chances = [model.probability(word, history) for word in range(9)]
        assert sum(chances) == pytest.approx(1, rel=1e-12)
        assert min(chances) > 0


def test_a_bigram_by_hand() -> None:
    """a b a c a b: bigrams ab 2, ba 1, ac 1, ca 1, so D = 3/5; a was seen after 2 words, b and c after 1: D = 1/2."""
    a, b, c, d = range(4)
    model = fit_kneser_ney([a, b, a, c, a, b], 2, 4)
    unigram = {a: (2 - 0.5 + 0.5 * 3 / 4) / 4, b: (1 - 0.5 + 0.5 * 3 / 4) / 4, d: 0.5 * 3 / 4 / 4}
    assert [model.probability(word) for word in (a, b, d)] == pytest.approx([unigram[word] for word in (a, b, d)])
    assert model.probability(b, [a]) == pytest.approx((2 - 0.6 + 0.6 * 2 * unigram[b]) / 3)
    assert model.probability(d, [a]) == pytest.approx(0.6 * 2 * unigram[d] / 3)
    assert model.probability(a, [d]) == pytest.approx(unigram[a])
    assert model.parameters == 3 + 4
    loss = -sum(map(math.log, (unigram[b], model.probability(a, [b])))) / 2
    assert model.cross_entropy([b, a]) == pytest.approx(loss)


def test_longer_histories_help_where_the_text_has_them() -> None:
    text = [0, 1, 2, 0, 2, 1] * 40
    losses = [fit_kneser_ney(text, order, 3).cross_entropy(text) for order in (1, 2, 3)]
    assert losses[0] > losses[1] > losses[2]
    assert losses[0] == pytest.approx(math.log(3), rel=0.01)


@pytest.mark.parametrize(
    ("words", "order", "vocabulary", "said"),
    [
        ([0, 1], 3, 2, "order 3 cannot be counted in 2 words"),
        ([0, 1], 0, 2, "order 0 cannot be counted"),
        ([0, 5], 1, 2, "words go from 0 to 5, and the vocabulary has 2"),
    ],
)
def test_settings_that_cannot_be_meant(words: list[int], order: int, vocabulary: int, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        fit_kneser_ney(words, order, vocabulary)
