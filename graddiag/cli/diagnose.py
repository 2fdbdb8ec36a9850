"""``graddiag diagnose``: what is wrong with a run, in words, with its evidence."""

from graddiag.cli.folders import load_runs
from graddiag.cli.options import AsJson, RunFolders
from graddiag.cli.rows import print_json


def diagnose(runs: RunFolders, as_json: AsJson = False) -> None:
    """Say what is wrong with runs, where, and what to try."""
    from graddiag.analysis import diagnose as diagnosis_of

    diagnoses = [diagnosis_of(run) for run in load_runs(runs)]
    if as_json:
        print_json([diagnosis.to_dict() for diagnosis in diagnoses])
    else:
        print("\n\n".join(str(diagnosis) for diagnosis in diagnoses))
