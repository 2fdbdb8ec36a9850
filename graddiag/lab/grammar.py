"""A generated text, the same on every machine and under every Python: sentences of a small grammar.

The grammar is finite, and each sentence comes from one derivation only. Sentences are drawn independently, so what is
known of one sentence is known of the text: its entropy over its mean length is the entropy rate, which no loss falls
below in the long run (the floor); the frequencies of its characters give the unigram entropy, the loss of a network
that has learned nothing but how frequent each character is (chance).

Only ``random.Random(seed).random()`` is used, whose values Python promises not to change.

Source: Grenander (1967), entropy of a probabilistic context-free grammar; Cover & Thomas (2006), section 4.2.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple


class Alternative(NamedTuple):
    """One expansion of a symbol: its probability, and its parts, each the name of a symbol or text as it is written."""

    probability: float
    parts: tuple[str, ...]


Grammar = Mapping[str, tuple[Alternative, ...]]


def _evenly(*texts: str) -> tuple[Alternative, ...]:
    return tuple(Alternative(1 / len(texts), (text,)) for text in texts)


def _with(probability: float, *parts: str) -> tuple[Alternative, ...]:
    """The parts with a probability, and nothing otherwise."""
    return (Alternative(probability, parts), Alternative(1 - probability, ()))


SENTENCE: Final = "<sentence>"
GRAMMAR: Final[Grammar] = {
    SENTENCE: (
        Alternative(0.5, ("The ", "<adjective>", "<noun>", " ", "<verb>", "s ", "<object>", "<place>", ".\n")),
        Alternative(0.5, ("The ", "<adjective>", "<noun>", "s ", "<verb>", " ", "<object>", "<place>", ".\n")),
    ),
    "<object>": (
        Alternative(0.5, ("a ", "<adjective>", "<noun>")),
        Alternative(0.5, ("the ", "<adjective>", "<noun>", "s")),
    ),
    "<adjective>": _with(0.5, "<quality>", " "),
    "<quality>": _evenly("small", "young", "quiet", "green", "lazy"),
    "<noun>": _evenly("cat", "dog", "bird", "horse", "farmer", "king", "queen", "fox cub"),
    "<verb>": _evenly("see", "follow", "like", "help", "find"),
    "<place>": _with(0.5, " ", "<where>"),
    "<where>": _evenly("near the river", "in the garden", "at the old market", "before dawn"),
}
CHARACTERS: Final = 200_000
SEED: Final = 0
SOURCE: Final = "graddiag.lab.grammar"


@cache
def grammar_text(characters: int = CHARACTERS, seed: int = SEED) -> str:
    """So many characters of sentences, one a line; the last one may be cut short."""
    drawn, length, chance = [], 0, random.Random(seed)
    while length < characters:
        drawn.append("".join(_drawn(SENTENCE, chance)))
        length += len(drawn[-1])
    return "".join(drawn)[:characters]


def _drawn(symbol: str, chance: random.Random) -> Iterator[str]:
    if symbol not in GRAMMAR:
        yield symbol
        return
    mark, reached = chance.random(), 0.0
    for choice in GRAMMAR[symbol]:
        reached += choice.probability
        if mark < reached:
            break
    for part in choice.parts:
        yield from _drawn(part, chance)


def entropy_rate(grammar: Grammar = GRAMMAR) -> float:
    """Nats a character that nothing can predict: the entropy of a sentence over its mean length."""
    return _entropy(SENTENCE, grammar) / _frequencies(SENTENCE, grammar).total()


def unigram_entropy(grammar: Grammar = GRAMMAR) -> float:
    """Nats a character, of the frequencies of the characters alone."""
    frequencies = _frequencies(SENTENCE, grammar)
    total = frequencies.total()
    return -math.fsum(each / total * math.log(each / total) for each in frequencies.values())


def _entropy(symbol: str, grammar: Grammar) -> float:
    """Nats of the derivations of a symbol, those of its parts included."""
    return math.fsum(
        choice.probability
        * (-math.log(choice.probability) + math.fsum(_entropy(part, grammar) for part in choice.parts))
        for choice in grammar.get(symbol, ())
    )


def _frequencies(symbol: str, grammar: Grammar) -> "Counter[str]":
    """How often each character is expected in what a symbol becomes."""
    if symbol not in grammar:
        return Counter(symbol)
    found: Counter[str] = Counter()
    for choice in grammar[symbol]:
        for part in choice.parts:
            for character, times in _frequencies(part, grammar).items():
                found[character] += choice.probability * times  # type: ignore[assignment]  # it counts in fractions too
    return found
