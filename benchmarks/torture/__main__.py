"""``python -m benchmarks.torture``: makes the faults and prints what each left. Run by ``make torture``."""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.torture.base import make_base
from benchmarks.torture.kills import Killed, killed_commands, killed_trainings, summary
from benchmarks.torture.readers import Outcome, limit_memory, tried
from benchmarks.torture.writers import written_side_by_side

_PROGRESS: Final = 100  # damaged runs between two lines that say how far it is


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000, help="damaged runs that every reader tries")
    parser.add_argument("--first", type=int, default=0, help="the first seed of the damages")
    parser.add_argument("--kills", type=int, default=200, help="watched trainings, and as many commands, to kill -9")
    parser.add_argument("--runs", type=int, default=100, help="runs that eight processes write under a reader")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report-every", type=int, default=20, help="every so many damaged runs a report is tried too")
    chosen = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        if chosen.mutations:
            wrong += show(damaged_runs(Path(place), chosen))
        if chosen.kills:
            wrong += summarize(killed_trainings(Path(place) / "kills", chosen.kills), "trainings")
            wrong += summarize(killed_commands(Path(place) / "commands", chosen.kills), "commands")
        if chosen.runs:
            written = written_side_by_side(Path(place) / "writers", runs=chosen.runs)
            print(written)
            wrong += len(written.wrong) + written.runs - written.complete
    return 1 if wrong else 0


def damaged_runs(place: Path, chosen: argparse.Namespace) -> list[Outcome]:
    base = make_base(place)
    seeds = range(chosen.first, chosen.first + chosen.mutations)
    found: list[Outcome] = []
    begun = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(chosen.jobs, limit_memory, maxtasksperchild=100) as pool:
        try:
            for each in pool.imap_unordered(partial(tried, base, report_every=chosen.report_every), seeds, chunksize=5):
                found.append(each)
                if each.wrong or len(found) % _PROGRESS == 0:
                    _progress(found, chosen.mutations, time.monotonic() - begun)
        except KeyboardInterrupt:  # what was tried until then counts
            pool.terminate()
    return found


def _progress(found: list[Outcome], of: int, seconds: float) -> None:
    wrong = sum(bool(each.wrong) for each in found)
    left = seconds / len(found) * (of - len(found)) / 60
    text = f"{len(found):,} of {of:,} damaged runs tried, {wrong} wrong; about {left:.0f} minutes left"
    print(text, file=sys.stderr, flush=True)


def summarize(killed: list[Killed], of: str) -> int:
    """Prints what became of what was killed; returns how many went wrong."""
    print(summary(killed, of))
    wrong = [each for each in killed if each.wrong]
    for each in wrong:
        print(f"  {each}")
    return len(wrong)


def show(outcomes: list[Outcome]) -> int:
    """Prints what became of the damaged runs; returns how many went wrong."""
    kinds = Counter(each.damage.partition(":")[0] for each in outcomes)
    refused = Counter(each.damage.partition(":")[0] for each in outcomes if each.refused)
    wrong = [each for each in outcomes if each.wrong]
    for kind, count in sorted(kinds.items()):
        print(f"{kind:32} {count:6} {refused[kind]:6} refused")
    print(f"{len(outcomes)} damaged runs, {len(wrong)} wrong, the slowest {max(e.seconds for e in outcomes):.1f} s")
    for each in wrong:
        for reader, text in each.wrong.items():
            print(f"seed {each.seed}, {each.damage}, {reader}:\n{text}")
    return len(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
