"""What is learned, from which sequences."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

TaskName = Literal[
    "text",
    "words",
    "temporal-order",
    "temporal-order-3bit",
    "adding",
    "multiplication",
    "permutation",
    "memorisation",
    "recall",
    "cloze",
]


class DataSettings(BaseModel):
    """The task and its batches.

    Attributes:
        task: what is asked.
        seed: of the weights, the batches and all else that is drawn.
        steps: optimizer updates.
        until_error: end as soon as the mean share of wrong answers of the last 100 batches is at most this; None makes
            all steps.
        length: T, timesteps of a sequence; memorisation adds its 20, recall the one it asks at, cloze five words.
        batch: N, sequences of a batch.
        text: what the tasks text and words read: a UTF-8 file, or a folder in the format of the Penn Treebank (train,
            valid and test files); pydoc_data.topics means Python's reference documentation. None reads that for words,
            and for characters the text of ``graddiag.lab.grammar``, the same on every machine.
        vocabulary: how many different words the task words keeps, the most frequent ones; None keeps all.
        carry: batches go on where the last one ended and take its state over, cut from its graph; the text is read as
            N streams. Otherwise each sequence begins anywhere in the text, with a state of zeros.
    """

    task: TaskName
    seed: int = Field(0, ge=0, lt=2**63)
    steps: int = Field(ge=1)
    until_error: float | None = Field(None, ge=0, lt=1)
    length: int = Field(ge=1)
    batch: int = Field(ge=1)
    text: Path | None = None
    vocabulary: int | None = Field(None, ge=2)
    carry: bool = False
