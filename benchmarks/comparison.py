"""How often the intervals of ``graddiag compare`` hold the truth: ``python -m benchmarks.comparison [--samples 4000]``.

Final losses of two arms are drawn, in pairs of one seed, from distributions whose medians and rates are known: normal,
lognormal, and with two modes (solved or not). Seeded: the same table on every machine.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graddiag.analysis.comparison.success import SuccessRates, mode_boundary, success_rates
from graddiag.analysis.intervals import median_interval

SEED: Final = 0
SIZES: Final = (3, 5, 8, 20)
_OF_TRUTH: Final = 1_000_000
_FAILED, _SOLVED = 1.386, -5.0  # loss of a run at chance; mean of ln of the loss of one that solved its task

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Outcome:
    """A distribution of pairs of final losses; rates: of success, where it has two modes."""

    name: str
    draw: Draw
    rates: tuple[float, float] | None = None


@dataclass(frozen=True)
class Coverage:
    """Of ``samples``: in how many an interval was given, and in what share of those it held the truth."""

    given: int
    held: int

    @property
    def share(self) -> float | None:
        return self.held / self.given if self.given else None


def normal(shift: float, common: float) -> Draw:
    """Losses of mean 2 and standard deviation .3, the arm ``shift`` lower; ``common``: correlation within a pair."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        shared, before, after = rng.normal(size=(3, n))
        mixed = [np.sqrt(common) * shared + np.sqrt(1 - common) * own for own in (before, after)]
        return 2 + 0.3 * mixed[0], 2 - shift + 0.3 * mixed[1]

    return draw


def lognormal(sigma: float, factor: float) -> Draw:
    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        return rng.lognormal(0, sigma, n), factor * rng.lognormal(0, sigma, n)

    return draw


def two_modes(before: float, after: float) -> Draw:
    """Solved with these rates, the others at chance."""

    def arm(rng: np.random.Generator, n: int, rate: float) -> Floats:
        solved = rng.lognormal(_SOLVED, 0.7, n)
        return np.where(rng.random(n) < rate, solved, rng.normal(_FAILED, 0.02, n))

    return lambda rng, n: (arm(rng, n, before), arm(rng, n, after))


OUTCOMES: Final = (
    Outcome("normal, equal", normal(0.0, 0.0)),
    Outcome("normal, shifted, pairs alike", normal(0.3, 0.5)),
    Outcome("lognormal (.5), halved", lognormal(0.5, 0.5)),
    Outcome("lognormal (1), equal", lognormal(1.0, 1.0)),
    Outcome("lognormal (1), a tenth", lognormal(1.0, 0.1)),
    *(
        Outcome(f"two modes, {before:.0%} and {after:.0%} solved", two_modes(before, after), (before, after))
        for before, after in ((0.5, 0.5), (0.2, 0.9), (0.8, 0.8), (0.9, 0.95), (0.0, 0.6))
    ),
)


def median_coverage(outcome: Outcome, n: int, samples: int) -> Coverage:
    """How often the interval of the median difference holds it."""
    rng = np.random.default_rng([SEED, n])
    before, after = outcome.draw(np.random.default_rng(SEED), _OF_TRUTH)
    truth = float(np.median(after - before))
    found = [median_interval(after - before) for before, after in (outcome.draw(rng, n) for _ in range(samples))]
    ends = [each.ends for each in found if each is not None]
    return Coverage(len(ends), sum(low <= truth <= high for low, high in ends))


def rate_coverages(outcome: Outcome, n: int, samples: int) -> tuple[Coverage, Coverage]:
    """How often the intervals of the two rates, and that of their difference, hold them, where success is known."""
    assert outcome.rates is not None
    rng = np.random.default_rng([SEED, n])
    found = [_rates(*outcome.draw(rng, n), _FAILED / 2) for _ in range(samples)]
    before, after = outcome.rates
    single = sum(_holds(r.baseline_interval, before) + _holds(r.interval, after) for r in found)
    return Coverage(2 * len(found), single), Coverage(
        len(found), sum(_holds(r.difference_interval, after - before) for r in found)
    )


def modes_found(outcome: Outcome, n: int, samples: int) -> tuple[float, float]:
    """The share of samples in which two modes are found, and of those the share with p < .05 in Fisher's test."""
    rng = np.random.default_rng([SEED, n])
    drawn = [outcome.draw(rng, n) for _ in range(samples)]
    found = [_rates(*each, boundary) for each in drawn if (boundary := mode_boundary(each)) is not None]
    return len(found) / samples, sum(r.p_value < 0.05 for r in found) / max(1, len(found))


def _rates(before: Floats, after: Floats, boundary: float) -> SuccessRates:
    outcomes = [(bool(one <= boundary), bool(other <= boundary)) for one, other in zip(before, after, strict=True)]
    found = success_rates(("off", "on"), outcomes, known=True)
    assert found is not None
    return found


def _holds(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] - 1e-9 <= truth <= interval[1] + 1e-9


def _table(head: str, lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    rows = [(head, [f"n={n}" for n in SIZES]), ("---", ["---"] * len(SIZES)), *lines]
    return "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)


def _cell(found: Coverage) -> str:
    return "no interval" if found.share is None else f"{found.share:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4000, help="of each size and distribution")
    samples = parser.parse_args().samples
    print(
        _table(
            "median difference", [(o.name, [_cell(median_coverage(o, n, samples)) for n in SIZES]) for o in OUTCOMES]
        )
    )
    two = [outcome for outcome in OUTCOMES if outcome.rates]
    rates = {o.name: [rate_coverages(o, n, samples) for n in SIZES] for o in two}
    lines = [(f"{name}: each rate", [_cell(each) for each, _ in found]) for name, found in rates.items()]
    lines += [(f"{name}: difference", [_cell(each) for _, each in found]) for name, found in rates.items()]
    print(f"\n{_table('success known', lines)}")
    lines = [(o.name, [_found(*modes_found(o, n, samples)) for n in SIZES]) for o in OUTCOMES]
    print(f"\n{_table('two modes found (of those, p < .05)', lines)}")


def _found(share: float, significant: float) -> str:
    return f"{share:.1%} ({significant:.1%})" if share else "0"


if __name__ == "__main__":
    main()
