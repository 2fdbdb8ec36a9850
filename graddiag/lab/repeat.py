"""The command that repeats a training of the lab."""

import shlex
from collections.abc import Iterator

from graddiag.lab.spec import TrainingSpec
from graddiag.lab.tasks import task_kind


def repeat_command(spec: TrainingSpec) -> str:
    """A ``graddiag run`` with every setting of ``spec``: on the same versions it gives the same numbers, to the bit.

    A setting that is None, or a switch that is off, as their defaults are, is left out.
    """
    return shlex.join(["graddiag", "run", *_options(spec)])


def _options(spec: TrainingSpec) -> Iterator[str]:
    kind = task_kind(spec.task)
    suits = {} if kind is None else kind.suits(spec.model)
    for name, value in spec.model_dump(mode="json", exclude_none=True).items():
        option = f"--{name.replace('_', '-')}"
        if not isinstance(value, bool):
            yield from (option, str(value))
        elif value or suits.get(name):  # off, where it is on by default
            yield option if value else f"--no-{option[2:]}"
