"""The count model that neural language models are measured against: n-grams with interpolated Kneser-Ney smoothing.

    p(w | h) = (max(c(hw) - D, 0) + D N(h .) p(w | h')) / c(h)

h' is h without its first word, N(h .) how many different words were seen after h, c(h) = sum_w c(hw). For the longest
histories c counts occurrences; for shorter ones c(hw) is in how many different words' company hw was seen, N(. hw): a
word that only ever follows "San" is no good guess elsewhere. The empty history gives way to 1 / V. A history that was
never seen is shortened until one was. The discount of an order is D = n1 / (n1 + 2 n2), with n1 and n2 the number of
n-grams that count 1 and 2.

Source: Ney, Essen & Kneser (1994); Chen & Goodman (1999), sections 2.7 and 3.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graddiag.errors import SettingError

Gram = tuple[int, ...]
_FLAT = 0.5  # the discount of an order in which nothing counts 1, so that the unseen keeps a share


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length: what each counts, and of each history its sum and how many words follow it."""

    counts: Mapping[Gram, int]
    totals: Mapping[Gram, int]
    followers: Mapping[Gram, int]
    discount: float


@dataclass(frozen=True)
class KneserNey:
    """A fitted model. ``orders[k]`` are the (k+1)-grams; words are numbers from 0 to ``vocabulary`` - 1."""

    orders: tuple[_Order, ...]
    vocabulary: int

    @property
    def order(self) -> int:
        """n: a word is guessed from the n - 1 before it."""
        return len(self.orders)

    @property
    def parameters(self) -> int:
        """How many n-grams of any length the model keeps."""
        return sum(len(order.counts) for order in self.orders)

    def probability(self, word: int, history: Sequence[int] = ()) -> float:
        """p(word | the last n - 1 words of ``history``); over all words of the vocabulary they sum to 1."""
        kept = tuple(history)[max(0, len(history) - self.order + 1) :]
        found = 1 / self.vocabulary
        for length in range(len(kept) + 1):
            context, order = kept[len(kept) - length :], self.orders[length]
            total = order.totals.get(context, 0)
            if total == 0:
                break
            seen = max(order.counts.get((*context, word), 0) - order.discount, 0.0)
            found = (seen + order.discount * order.followers[context] * found) / total
        return found

    def cross_entropy(self, words: Sequence[int]) -> float:
        """Mean of -ln p over ``words``, each given those before it; nats a word."""
        reach = self.order - 1
        losses = (-math.log(self.probability(w, words[max(0, i - reach) : i])) for i, w in enumerate(words))
        return math.fsum(losses) / len(words)


def fit_kneser_ney(words: Sequence[int], order: int, vocabulary: int) -> KneserNey:
    """Counts the n-grams of ``words`` up to n = ``order``.

    Raises:
        SettingError: ``order`` below 1, more than there are words, or a word outside of the vocabulary.
    """
    if not 1 <= order <= len(words):
        raise SettingError(f"order {order} cannot be counted in {len(words)} words; it is at least 1 and at most that.")
    if not 0 <= min(words) <= max(words) < vocabulary:
        raise SettingError(f"words go from {min(words)} to {max(words)}, and the vocabulary has {vocabulary}.")
    seen = [Counter(zip(*(words[shift:] for shift in range(n)), strict=False)) for n in range(1, order + 1)]
    shorter = [Counter(gram[1:] for gram in longer) for longer in seen[1:]]
    return KneserNey(tuple(map(_order, [*shorter, seen[-1]])), vocabulary)


def _order(counts: Mapping[Gram, int]) -> _Order:
    totals: Counter[Gram] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return _Order(counts, totals, Counter(gram[:-1] for gram in counts), _discount(counts.values()))


def _discount(counts: Iterable[int]) -> float:
    of = Counter(counts)
    return of[1] / (of[1] + 2 * of[2]) if of[1] else _FLAT
