"""What is declared of a clip policy, and a policy as a text names it. torch is not imported before one is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graddiag.clipping.outcome import ClipPolicy


@dataclass(frozen=True)
class Number:
    """A number of a policy: its name, an example, and which values it may have; ``whole``: it is an int."""

    name: str
    example: str
    requirement: str
    allows: Callable[[float], bool]
    whole: bool = False


@dataclass(frozen=True)
class Option:
    """What may follow the second colon: the keyword of the implementation that it sets, and an example.

    number: which number it is, and its default; values: the words that it may be, and what they set.
    """

    keyword: str
    example: str
    number: Number | None = None
    default: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Syntax:
    """A form of a policy, what it does, and its source: a row of the table in docs/clipping.md."""

    form: str
    does: str
    source: str = ""


@dataclass(frozen=True)
class PolicyKind:
    """A clip policy.

    Attributes:
        name: in front of the colon.
        title: in words, e.g. above a picture.
        forms: how it is written; the first is the plain one.
        help: for the command line and the Lab's form: what the plain form does.
        implementation: module of ``graddiag.clipping`` and class, called with the number and the option.
        keeps_direction: whether the gradient keeps its direction, scaled by one number; None where the policy acts
            inside of back-propagation, between two timesteps.
        style: place of its arm among the colors and dashes of a figure.
        number, option: what follows the first and the second colon; None where nothing may.
        adapts: it follows the norms of the training so far.
        limits_norm: its number is a fixed threshold on the norm of all gradients.
        cuts: its number is the window after which back-propagation is cut.
    """

    name: str
    title: str
    forms: tuple[Syntax, ...]
    help: str
    implementation: str
    keeps_direction: bool | None
    style: int
    number: Number | None = None
    option: Option | None = None
    adapts: bool = False
    limits_norm: bool = False
    cuts: bool = False

    @property
    def acts_inside(self) -> bool:
        """Whether it acts inside of back-propagation, between two timesteps."""
        return self.keeps_direction is None


@dataclass(frozen=True)
class PolicyText:
    """A policy as a text names it: the kind, its number, and what its option sets."""

    kind: PolicyKind
    number: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def norm_threshold(self) -> float | None:
        """The threshold on the norm of all gradients; None where there is none, or none that is fixed."""
        return self.number if self.kind.limits_norm else None

    @property
    def window(self) -> int | None:
        """Timesteps between two cuts of back-propagation; None where it is not cut."""
        return int(self.number) if self.kind.cuts and self.number is not None else None

    def __str__(self) -> str:
        """The one spelling of it that a run keeps: ``norm:1`` is ``norm:1.0``."""
        words = {known: word for word, known in (self.kind.option.values if self.kind.option else {}).items()}
        number = () if self.number is None else (repr(self.number),)
        return ":".join((self.kind.name, *number, *(words.get(each, repr(each)) for each in self.options.values())))

    def make(self) -> "ClipPolicy":
        """The policy itself, new: one that adapts has seen nothing yet."""
        module, _, name = self.kind.implementation.partition(":")
        implementation = getattr(import_module(f"graddiag.clipping.{module}"), name)
        arguments = () if self.number is None else (self.number,)
        policy: ClipPolicy = implementation(*arguments, **self.options)
        return policy
