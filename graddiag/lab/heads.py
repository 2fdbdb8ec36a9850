"""The output layers of the lab, by the texts that name them. torch is not imported before one is made.

A new one is an entry of ``OUTPUTS`` and the class in ``graddiag.lab.output_layers`` that it names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from graddiag.errors import SettingError
from graddiag.lab.tasks import tasks_with

if TYPE_CHECKING:
    from graddiag.lab.output_layers import Answers, Factored
    from graddiag.lab.task import Shape


@dataclass(frozen=True)
class OutputKind:
    """An output layer: its name, how it is written, what it is, and its class or function in ``output_layers``.

    ``counted``: it has a whole number behind the colon, and is made of the counts of the symbols in the text.
    """

    name: str
    form: str
    help: str
    implementation: str
    counted: bool = True


OUTPUTS: Final = (
    OutputKind("softmax", "softmax", "softmax", "Answers", counted=False),
    OutputKind("classes", "classes:C", "classes:C with C classes", "class_factored"),
    OutputKind("nce", "nce:K", "nce:K with K noise words", "noise_contrastive"),
)


@dataclass(frozen=True)
class HeadSpec:
    """An output layer: a plain one, or one with a count, of classes or of noise words."""

    kind: str
    count: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}" if self.count else self.kind

    def make(self, units: int, shape: "Shape", counts: Sequence[int] | None) -> "Answers | Factored":
        """The layer over ``units``; ``counts`` are how often each symbol was seen in training.

        Raises:
            SettingError: a task without counts of symbols asks for more than the plain softmax.
        """
        kind = _kinds()[self.kind]
        implementation = getattr(import_module("graddiag.lab.output_layers"), kind.implementation)
        made: Answers | Factored
        if not kind.counted:
            made = implementation(units, shape)
            return made
        if counts is None:
            raise SettingError(
                f"output {self}: it is for the tasks {' and '.join(tasks_with('output'))}; leave it out."
            )
        made = implementation(units, counts, self.count)
        return made


def known_heads() -> str:
    """Every output layer and what it is, with commas between them."""
    return ", ".join(kind.help for kind in OUTPUTS)


def parse_head(text: str) -> HeadSpec:
    """The output layer that ``text`` names.

    Raises:
        SettingError: none is called that, or its count is not a whole number above 0.
    """
    name, _, count = text.partition(":")
    kind = _kinds().get(name)
    if kind is None or (count and not kind.counted):
        raise SettingError(f"output {text!r}: it is none of {known_heads()}.")
    if not kind.counted:
        return HeadSpec(name)
    if not count.isdigit() or int(count) < 1:
        raise SettingError(f"output {text!r}: write {name}:N with a whole number N above 0.")
    return HeadSpec(name, int(count))


def _kinds() -> dict[str, OutputKind]:
    return {kind.name: kind for kind in OUTPUTS}
