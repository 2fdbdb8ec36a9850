"""What a job is, and its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["running", "stopping", "finished", "stopped", "failed", "lost"]
AT_WORK: Final = ("running", "stopping")


class JobRequest(BaseModel):
    """What is to be started.

    Attributes:
        title: what the job is, in the words of whoever started it.
        arguments: of the command ``graddiag``, one each; no shell ever reads them.
        experiment: the folder under the root in which its runs appear.
        parts: whether its runs lie in several folders, whose names begin with that one.
        reports: whether it leaves a report; ``--out`` says where.
        steps: optimizer updates of all its runs together, for the progress; None where nobody knows.
        settings: what was chosen, to be shown again.
    """

    model_config = ConfigDict(frozen=True)

    title: str = Field(min_length=1, max_length=200)
    arguments: tuple[str, ...] = Field(min_length=1, max_length=100)
    experiment: str | None = None
    parts: bool = False
    reports: bool = False
    steps: int | None = Field(default=None, ge=1)
    settings: Mapping[str, str] = Field(default_factory=dict)


class Started(JobRequest):
    """The content of ``job.json``: the request and the process that was started for it.

    ``process`` leads its process group; ``since`` is the moment it started in the words of the system, which together
    with the number names one process for good.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    process: int = Field(gt=1)
    since: str = Field(min_length=1)
    created: datetime


@dataclass(frozen=True)
class Job:
    """A job at present. ``code`` is the exit status, negative for a signal; None while it runs and where it is lost.

    ``state``: lost is a job whose process is gone without a word of how it ended, e.g. after a power cut.
    """

    id: str
    started: Started
    state: State
    code: int | None = None
    ended: datetime | None = None

    @property
    def at_work(self) -> bool:
        return self.state in AT_WORK
