"""What one judgement of a run has read, the next one does not read again."""

from dataclasses import replace
from typing import Any

import pandas as pd

from graddiag import schema
from graddiag.analysis import Thresholds, compare, diagnose
from graddiag.run import Run
from graddiag.store import load_run
from tests.dashboards.synthetic import pair, write_all


def test_a_comparison_after_a_verdict_reads_no_timestep_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    reads: list[str] = []

    def counted(run: Run) -> Run:
        def read(table: str, **how: Any) -> pd.DataFrame:
            reads.append(table)
            return run.read(table, **how)

        return replace(run, read=read)

    runs = [counted(load_run(tmp_path / link)) for link in write_all(tmp_path, pair())]
    verdicts = [diagnose(run).verdict for run in runs]
    assert schema.TABLE_TIMESTEPS in reads
    reads.clear()
    compared = compare(runs)
    assert [each.verdict for arm in compared.arms for each in arm.runs] == verdicts
    assert schema.TABLE_TIMESTEPS not in reads
    compare(runs, thresholds=replace(Thresholds(), spike=20))
    assert schema.TABLE_TIMESTEPS in reads
