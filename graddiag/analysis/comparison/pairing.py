"""Which runs of two arms make a pair: those of one seed and one length, and of several such runs of an arm one."""

from collections.abc import Sequence

from graddiag.run import Run

Key = tuple[int | None, int | None]


def key_of(run: Run) -> Key:
    """Seed and length: what the runs of a pair have in common."""
    return run.manifest.seed, run.length


def one_of_each(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Of the runs of one arm those to compare, in their order, and those left out.

    Of several with the same seed and length one is taken: the first that is finished, else the first. Runs without a
    seed are all taken, as nothing says that one is another's repetition.
    """
    first: dict[Key, Run] = {}
    for run in sorted(runs, key=lambda run: run.manifest.status != "finished"):
        first.setdefault(key_of(run), run)
    taken = [run for run in runs if run.manifest.seed is None or first[key_of(run)] is run]
    return taken, [run for run in runs if not any(run is other for other in taken)]
