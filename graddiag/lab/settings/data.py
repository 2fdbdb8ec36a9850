"""What is learned, from which sequences."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from graddiag.lab.settings.declared import Shown
from graddiag.lab.tasks import TASKS

Criterion = Literal["pascanu", "held-out", "batches"]

if TYPE_CHECKING:
    TaskName = str
else:
    TaskName = Literal[tuple(kind.name for kind in TASKS)]


class DataSettings(BaseModel):
    """The task and its batches."""

    task: Annotated[TaskName, Shown("Task")] = Field(
        description="; ".join(f"{kind.name}: {kind.asks.replace('`', '')}" for kind in TASKS) + "."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the weights, the batches and everything else drawn.")
    steps: Annotated[int, Shown("Steps of each run", most=100_000)] = Field(ge=1, description="Optimizer updates.")
    until_error: Annotated[float | None, Shown(default="never")] = Field(
        None, ge=0, lt=1, description="End as soon as at most this share of the answers is wrong, by the criterion."
    )
    criterion: Annotated[
        Criterion | None, Shown(default="pascanu for the tasks of its paper, held-out for digits, else batches")
    ] = Field(
        None,
        description="Which answers until_error counts: pascanu, those to 10,000 new sequences at every "
        "evaluate_every-th step, as in the authors' code; held-out, those to the images of digits that are not trained "
        "on; batches, those of the last 100 batches.",
    )
    length: Annotated[int, Shown("Timesteps T", most=2000)] = Field(
        ge=1,
        description="T, timesteps of a sequence; memorisation adds 20, selective-copy four, recall the one that "
        "asks, cloze five words; of digits it is 64.",
    )
    batch: int = Field(ge=1, description="N, sequences in a batch.")
    text: Annotated[
        Path | None,
        Shown(
            metavar="FILE",
            default="sentences of a small grammar (task text), Python's reference documentation (task words)",
        ),
    ] = Field(
        None,
        description="Text to learn: a UTF-8 file, a folder with train, valid and test files as of the Penn Treebank, "
        "or pydoc_data.topics, Python's reference documentation.",
    )
    vocabulary: Annotated[int | None, Shown(default="10000 for words")] = Field(
        None, ge=2, description="Different words that the task words keeps, the most frequent ones."
    )
    stateful: Annotated[bool, Shown(default="on for words", former="carry")] = Field(
        False,
        description="Read the text in order, as N streams: each batch starts from the last state of the one before, "
        "detached. Otherwise a sequence begins anywhere, with a state of zeros.",
    )
