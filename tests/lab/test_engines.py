"""Engines: Ray and Slurm train what the processes train, number by number; one that fails stops no other, and one whose
worker was killed is trained again."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from graddiag import list_runs, load_run
from graddiag.cli import main
from graddiag.errors import MissingLibraryError, SettingError
from graddiag.lab import plan_arms, ray_pool, slurm_pool, training_spec
from graddiag.lab.engines import engine_called, with_retries
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.sweeps import plan_sweep, sweep_spec
from graddiag.lab.training import Plan
from graddiag.processes import is_running
from graddiag.store import read_manifest, trashed_runs
from tests.needs import needs

SPEC: dict[str, Any] = {
    "name": "engines",
    "task": "recall",
    "model": "lstm",
    "settings": {"steps": 4, "batch": 3, "hidden": 4, "h_detach": 0.5},
    "arms": {"baseline": {}, "clipped": {"clip": "norm:0.1"}},
    "seeds": [0, 1],
    "lengths": [5],
}
LONG = SPEC | {"settings": SPEC["settings"] | {"steps": 1000}, "arms": {"baseline": {}}}

OPTIONS: dict[str, dict[str, str]] = {"ray": {}, "slurm": {"cluster": "local"}}
MODULES = {"ray": "ray", "slurm": "submitit"}

outside = pytest.mark.parametrize("name", ["ray", "slurm"])


def test_an_engine_that_is_not_known_is_told_by_name() -> None:
    with pytest.raises(SettingError, match=r"^engine 'sge': it is one of processes, ray, slurm\.$"):
        engine_called("sge")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ray", {"cpu": "2"}, r"^engine ray: cpu: no setting of .*memory_gb\. Did you mean cpus\?$"),
        ("ray", {"cpus": "many"}, r"^engine ray: cpus 'many' cannot be used: .* number"),
        ("slurm", {"minutes": "0"}, r"^engine slurm: minutes '0' cannot be used: .* greater than 0"),
        ("slurm", {"cluster": "pbs"}, r"^engine slurm: cluster 'pbs' cannot be used: .*'slurm' or 'local'"),
        ("processes", {"cpus": "2"}, r"^engine processes: it has no options, and cpus was given"),
    ],
)
def test_an_option_that_cannot_be_used_is_told_with_what_is_allowed(
    name: str, options: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        engine_called(name, options)


def test_without_sbatch_it_is_told_where_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(slurm_pool, "find_spec", lambda name: object())
    monkeypatch.setattr(slurm_pool, "which", lambda name: None)
    with pytest.raises(SettingError, match=r"no `sbatch` on this machine.*--engine-option cluster=local"):
        engine_called("slurm")
    assert main(["sweep", str(tmp_path / "none.toml"), "--engine", "slurm", "--engine-option", "minutes"]) == 2


@outside
def test_without_its_library_it_is_told_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr({"ray": ray_pool, "slurm": slurm_pool}[name], "find_spec", lambda module: None)
    with pytest.raises(MissingLibraryError, match=rf"pip install 'graddiag\[{name}\]'"):
        engine_called(name)
    assert main(["sweep", str(tmp_path / "none.toml"), "--engine", name]) == 2


@contextmanager
def killing_the_first(root: Path) -> Iterator[list[int]]:
    """Kills the process that writes the first run that has steps, once; gives its id."""
    killed: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set() and not killed:
            for path in root.glob("engines/*/steps/*.parquet"):
                writer = read_manifest(path.parents[1]).writer
                if is_running(writer) and not killed:
                    killed.append(int(str(writer).split()[0]))
                    os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()


def one_that_fails(folder: Path) -> Plan:
    """The plan of a training whose text is too short."""
    text = folder / "short.txt"
    text.write_text("abc")
    spec = training_spec("text", "rnn", text=text, steps=2, batch=2, hidden=4, length=5)
    return plan_arms({"broken": spec, "broken-again": spec}, [0], "broken")[0]


@pytest.mark.libraries
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
@outside
def test_it_trains_what_the_processes_train_whatever_happens_to_one(name: str, tmp_path: Path) -> None:
    """One training fails, and the worker of another is killed: that one is trained again, and no number is another."""
    needs(MODULES[name], name)
    plans, fails = plan_sweep(sweep_spec(LONG)), one_that_fails(tmp_path)
    alone, root = tmp_path / "processes", tmp_path / name
    assert all(outcome.trained is not None for outcome in engine_called("processes")(plans, alone, workers=2))
    lost: list[TrainingOutcome] = []
    with killing_the_first(root) as killed:
        engine = engine_called(name, OPTIONS[name])
        ended = list(with_retries(engine, [fails, *plans], root, workers=2, on_lost=lost.append))
    found = {outcome.plan.name: outcome for outcome in ended}
    assert sorted(outcome.plan.name for outcome in ended) == sorted(plan.name for plan in [fails, *plans])
    assert "sequences of 5 characters" in str(found[fails.name].error)
    assert not found[fails.name].lost
    assert len(killed) == len(lost) == 1
    assert lost[0].lost
    assert lost[0].error is not None
    assert [each.run for each in trashed_runs(root)] == [f"engines/{lost[0].plan.name}"]
    for plan in plans:
        assert found[plan.name].trained is not None
        one, other = (load_run(each / "engines" / plan.name) for each in (alone, root))
        assert other.manifest.status == "finished"
        clock = ["wall_time"]
        pd.testing.assert_frame_equal(one.steps.drop(columns=clock), other.steps.drop(columns=clock), check_exact=True)
        pd.testing.assert_frame_equal(one.timesteps, other.timesteps, check_exact=True)


def test_one_that_is_lost_each_time_is_given_as_lost(tmp_path: Path) -> None:
    plans = plan_sweep(sweep_spec(SPEC))
    asked: list[list[str]] = []

    def engine(plans: Sequence[Plan], root: Path | str, *, workers: int) -> Iterator[TrainingOutcome]:
        asked.append([plan.name for plan in plans])
        for plan in plans:
            gone = plan.name == "clipped-seed1"
            yield TrainingOutcome(plan, error=OSError("the node is gone") if gone else None, lost=gone)

    found = list(with_retries(engine, plans, tmp_path, workers=1, retries=2))
    assert asked == [[plan.name for plan in plans], ["clipped-seed1"], ["clipped-seed1"]]
    assert [outcome.plan.name for outcome in found if outcome.lost] == ["clipped-seed1"]
    assert len(found) == len(plans)


class Job:
    """As submitit's: its number, and where its result will lie."""

    def __init__(self, folder: Path) -> None:
        self.job_id, self.paths = "7", SimpleNamespace(result_pickle=folder / "7.pkl")


def test_a_job_has_left_once_it_is_not_in_the_queue_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, queue = [100.0], slurm_pool._Queue(slurm_pool.SlurmOptions())
    answers: list[set[str] | None] = [{"7", "8"}, None, {"8"}, {"7"}, {"8"}]
    monkeypatch.setattr(slurm_pool, "_queued", lambda: answers.pop(0) if len(answers) > 1 else answers[0])
    monkeypatch.setattr(slurm_pool.time, "monotonic", lambda: clock[0])
    job, seen = Job(tmp_path), []
    for _ in range(12):
        clock[0] += 10
        seen.append(queue.has_left(job))
    assert seen == [False] * 8 + [True] * 4  # asked at 110, 120, ...; missed from 150 on, for more than 30 s
    other = slurm_pool._Queue(slurm_pool.SlurmOptions())
    monkeypatch.setattr(slurm_pool, "_queued", lambda: {"7"})
    assert not other.has_left(job)
    job.paths.result_pickle.touch()
    assert other.has_left(job)


def test_squeue_that_does_not_answer_is_no_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_pool._queued() is None
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 3\necho 4_1\n")
    squeue.chmod(0o755)
    assert slurm_pool._queued() == {"3", "4_1"}
    squeue.write_text("#!/bin/sh\nexit 1\n")
    assert slurm_pool._queued() is None


@pytest.mark.libraries
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_training_whose_node_is_lost_is_trained_again_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("ray", "ray")
    from ray.cluster_utils import Cluster

    plans = plan_sweep(sweep_spec(LONG))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        lost: list[TrainingOutcome] = []
        done = threading.Event()

        def lose() -> None:
            while not done.is_set() and len(list(tmp_path.glob("engines/*/steps/*.parquet"))) < 2:
                time.sleep(0.05)
            cluster.remove_node(node, allow_graceful=False)

        thread = threading.Thread(target=lose)
        thread.start()
        found = list(with_retries(engine_called("ray"), plans, tmp_path, workers=2, on_lost=lost.append))
        done.set()
        thread.join()
    finally:
        cluster.shutdown()
    assert len(lost) == 1
    assert sorted(outcome.plan.name for outcome in found) == sorted(plan.name for plan in plans)
    assert all(outcome.trained is not None for outcome in found)
    assert list_runs(tmp_path)["status"].tolist() == ["finished"] * len(plans)
    assert [each.run for each in trashed_runs(tmp_path)] == [f"engines/{lost[0].plan.name}"]
