"""``graddiag compare``: the effect of one arm against another, seed by seed."""

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.rows import print_json, print_table


def compare(runs: RunFolders, as_json: AsJson = False) -> None:
    """Compare runs: their arms, paired by seed, and what differs."""
    from graddiag.analysis import compare as comparison_of

    comparison = comparison_of(load_runs(runs))
    if as_json:
        print_json(comparison.to_dict())
    else:
        print_table(comparison.table())
