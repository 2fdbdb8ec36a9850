"""The trainings of a sweep as jobs of a Slurm cluster, submitted by submitit: the same plans, the same numbers.

Each training is a job of one node and writes its run under the root, which every node has to share. What submitit keeps
of a job, its logs among it, lies in ``.slurm`` under the root, or under the folder that we are in where it is a URL.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from graddiag.errors import GraddiagError, MissingLibraryError, SettingError
from graddiag.lab.outcome import TrainingOutcome
from graddiag.lab.training import Plan, train
from graddiag.store import remote_url, resolved_root

FOLDER: Final = ".slurm"
_SOON: Final = 0.5  # seconds until the jobs are looked at again
_PAUSE: Final = 5.0  # seconds until squeue is asked again
_GRACE: Final = 30.0  # seconds for a cancelled training to close its run, and for a result to be seen
_LAST_LINES: Final = 3


class SlurmOptions(BaseModel):
    """What each job asks Slurm for; what is not given is left to the cluster, or to SBATCH_PARTITION and its kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: Literal["slurm", "local"] = Field(
        "slurm", description="local: the same jobs on this machine, without Slurm."
    )
    minutes: int = Field(240, gt=0, description="The time limit of a training.")
    cpus: int = Field(1, gt=0, description="CPUs of a training.")
    mem_gb: float | None = Field(None, gt=0, description="Memory of a training, GB.")
    partition: str | None = Field(None, description="The partition.")
    account: str | None = Field(None, description="The account that is charged.")
    qos: str | None = Field(None, description="The quality of service.")
    constraint: str | None = Field(None, description="Features that a node must have.")

    def check_installed(self) -> None:
        """Checks that jobs can be submitted, before anything is done.

        Raises:
            MissingLibraryError: submitit is not installed.
            SettingError: there is no Slurm on this machine.
        """
        if find_spec("submitit") is None:
            raise MissingLibraryError(
                "engine slurm: submitit is not installed. Install it with `pip install 'graddiag[slurm]'`."
            )
        if self.cluster == "slurm" and which("sbatch") is None:
            raise SettingError(
                "engine slurm: there is no `sbatch` on this machine. Start the sweep where jobs are submitted, or with "
                "`--engine-option cluster=local` to run the jobs here."
            )


class JobLostError(GraddiagError):
    """A job ended without a result: killed, cancelled by others, out of time or memory, or its node was lost."""


def outcomes(
    plans: Sequence[Plan], root: Path | str, *, workers: int, options: SlurmOptions
) -> Iterator[TrainingOutcome]:
    """As ``graddiag.lab.pool.outcomes``, by Slurm. At most ``workers`` jobs are in the queue or at work; Ctrl-C cancels
    them, and the trainings at work close their runs as interrupted.
    """
    executor, queue = _executor(_shared(root), options), _Queue(options)
    waiting = list(plans)
    running: dict[Any, Plan] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                plan = waiting.pop(0)
                running[executor.submit(attempt, plan, resolved_root(root))] = plan
            ended = [job for job in running if queue.has_left(job)]
            for job in ended:
                yield _outcome(running.pop(job), job)
            if not ended:
                time.sleep(_SOON)
    finally:
        _cancel(list(running), queue)


def _shared(root: Path | str) -> Path:
    """The folder in which submitit keeps its files: the root, or where that is a URL the one that we are in."""
    return Path.cwd() if remote_url(root) is not None else resolved_root(root)


def attempt(plan: Plan, root: Path) -> TrainingOutcome:
    """What a job does: trains a plan, and gives the error of a training that fails as it is."""
    try:
        return TrainingOutcome(plan, trained=train(plan, root))
    except Exception as error:
        return TrainingOutcome(plan, error=error)


def _executor(root: Path, options: SlurmOptions) -> Any:
    import submitit

    folder = root / FOLDER / "%j"
    executor = submitit.AutoExecutor(folder, cluster=options.cluster, **_python(options))
    own = {name: getattr(options, name) for name in ("partition", "account", "qos", "constraint")}
    given = {f"slurm_{name}": value for name, value in own.items() if value is not None}
    if options.mem_gb is not None:
        given["mem_gb"] = options.mem_gb
    executor.update_parameters(
        name="graddiag", timeout_min=options.minutes, cpus_per_task=options.cpus, nodes=1, tasks_per_node=1, **given
    )
    return executor


def _python(options: SlurmOptions) -> dict[str, str]:
    return {f"{options.cluster}_python": sys.executable}


class _Queue:
    """Which jobs have ended. Slurm is asked by squeue, which needs no accounting. The result of a job that has left the
    queue has time to be seen on a shared disk."""

    def __init__(self, options: SlurmOptions) -> None:
        self._local = options.cluster == "local"
        self._there: set[str] | None = None
        self._asked = -_PAUSE
        self._missed: dict[str, float] = {}

    def has_left(self, job: Any) -> bool:
        if _has_result(job):
            return True
        if self._local:
            return bool(job.done())
        now = time.monotonic()
        if now - self._asked >= _PAUSE:
            self._asked, self._there = now, _queued()
        if self._there is None or job.job_id in self._there:
            self._missed.pop(job.job_id, None)
            return False
        return now - self._missed.setdefault(job.job_id, now) > _GRACE


def _queued() -> set[str] | None:
    """The jobs of this user that wait or run; None where squeue does not answer."""
    try:
        asked = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%i"], capture_output=True, text=True, timeout=_GRACE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return set(asked.stdout.split())


def _has_result(job: Any) -> bool:
    return bool(job.paths.result_pickle.exists())


def _outcome(plan: Plan, job: Any) -> TrainingOutcome:
    from submitit.core.utils import FailedJobError

    if not _has_result(job):
        return TrainingOutcome(plan, error=JobLostError(f"job {job.job_id} left no result; {_log(job)}"), lost=True)
    try:
        found: TrainingOutcome = job.result()
    except FailedJobError as error:  # the job did not come as far as the training
        return TrainingOutcome(plan, error=error)
    return found


def _log(job: Any) -> str:
    lines = (job.stderr() or "").strip().splitlines()[-_LAST_LINES:]
    return f"its log, {job.paths.stderr}, " + (f"ends with: {' / '.join(lines)}" if lines else "is empty")


def _cancel(jobs: Sequence[Any], queue: _Queue) -> None:
    for job in jobs:
        job.cancel(check=False)
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and not all(queue.has_left(job) for job in jobs):
        time.sleep(_SOON)
