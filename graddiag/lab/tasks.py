"""The tasks of the lab: each declared once, with all that is known of it. torch is not imported before one is made.

The command line, the Lab's form and the table of docs/lab.md read what they need here. A new task is an entry of
``TASKS`` and the class that it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from graddiag.lab.networks import NETWORKS, STARTS, cell_type

if TYPE_CHECKING:
    from graddiag.lab.spec import TrainingSpec
    from graddiag.lab.task import Task


@dataclass(frozen=True)
class TaskKind:
    """A task.

    Attributes:
        name: as ``--task`` has it.
        asks: what is asked, for the help of an option and the manual.
        chance: the loss, and the share of wrong answers, of a network that has learned nothing; in the manual's words.
        implementation: module of ``graddiag.lab`` and class or function, called with the settings that it ``takes``
            and with ``variant``.
        defaults: settings that suit it; by_model: and what of them depends on the model.
        only: settings that no task has but those that name them here.
        criteria: by which it can be known as solved (the setting ``criterion``).
    """

    name: str
    asks: str
    chance: str
    implementation: str
    defaults: Mapping[str, Any]
    by_model: Mapping[str, Mapping[str, Any]]
    takes: tuple[str, ...] = ("length", "batch")
    variant: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ("batches",)

    def suits(self, model: str) -> dict[str, Any]:
        """The settings that suit it with a model: those that are not given."""
        return {**self.defaults, **self.by_model.get(model, {})}

    def make(self, spec: "TrainingSpec") -> "Task":
        """The task of a spec, its text read and found long enough.

        Raises:
            InputError: a text that cannot be used.
            SettingError: a length that the task cannot have.
        """
        module, _, name = self.implementation.partition(":")
        implementation = getattr(import_module(f"graddiag.lab.{module}"), name)
        task: Task = implementation(*(getattr(spec, each) for each in self.takes), **self.variant)
        return task


# Where each task shows its subject: explosion on text, credit over a distance in the others.
_FAR: Final[Mapping[str, Any]] = {"steps": 2500, "length": 30, "batch": 20, "hidden": 50}
_MODELS: Final = STARTS
_OTHERS: Final = {kind.name: STARTS[kind.name] for kind in NETWORKS}
_TEXT: Final = ("text", "stateful", "evaluate_every", "output")
# the tasks of Pascanu, Mikolov & Bengio (2013), solved by the criterion of their code
_PASCANU: Final[Mapping[str, Any]] = {**_FAR, "criterion": "pascanu"}
_VALIDATED: Final = ("evaluate_every", "criterion")
_BY_NEW_SEQUENCES: Final = ("pascanu", "batches")
_DIGITS: Final[Mapping[str, Any]] = {
    **_FAR,
    "length": 64,
    "optimizer": "adam",
    "lr": 0.01,
    "criterion": "held-out",
    "evaluate_every": 100,
}

TASKS: Final = (
    TaskKind(
        name="text",
        asks="each next character of sentences of a small grammar, or of `--text FILE`",
        chance="the entropy of the characters' frequencies: 2.976",
        implementation="next_symbol:next_character",
        takes=("length", "batch", "text", "stateful", "evaluate_every"),
        defaults={
            "steps": 200,
            "length": 60,
            "batch": 16,
            "hidden": 64,
            "embedding": 32,
            "lr": 5.0,
            "init_std": 0.25,  # W_hh of a gain of 2: from the first step on the gradient of an RNN grows through time
        },
        by_model=_OTHERS,
        only=_TEXT,
    ),
    TaskKind(
        name="words",
        asks="each next word of the reference documentation that ships with Python, or of `--text FILE`",
        chance="that of the words' frequencies",
        implementation="next_symbol:next_word",
        takes=("length", "batch", "text", "stateful", "evaluate_every", "vocabulary"),
        defaults={
            "steps": 600,
            "length": 35,
            "batch": 20,
            "hidden": 128,
            "embedding": 128,
            "lr": 2.0,
            "vocabulary": 10_000,
            "stateful": True,
            "evaluate_every": 100,
        },
        by_model=_OTHERS,
        only=(*_TEXT, "vocabulary"),
    ),
    TaskKind(
        name="temporal-order",
        asks="in which order two symbols came, one early and one halfway",
        chance="loss ln 4, 75% wrong",
        implementation="temporal_order:TemporalOrder",
        defaults=_PASCANU,
        by_model={
            model: {"lr": 0.2 if (kind := cell_type(model)) is None or kind.keeping is None else 1.0, **start}
            for model, start in STARTS.items()
        },
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="temporal-order-3bit",
        asks="the same of three symbols",
        chance="ln 8, 87.5%",
        implementation="temporal_order:TemporalOrder",
        variant={"places": 3},
        defaults={**_PASCANU, "lr": 0.2},
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="adding",
        asks="the mean of two numbers that are marked among many",
        chance="squared error 1/24, 36% wrong",
        implementation="adding_task:Marked",
        variant={"said": "mean"},
        defaults={**_PASCANU, "lr": 0.02},
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="multiplication",
        asks="their product",
        chance="7/144, 23.4%",
        implementation="adding_task:Marked",
        variant={"said": "product"},
        defaults={**_PASCANU, "lr": 0.02},
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="permutation",
        asks="after a sequence of 100 symbols, the first of them again",
        chance="ln 2, 50%",
        implementation="memory:Permutation",
        defaults={**_PASCANU, "length": 20, "lr": 0.2},
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="memorisation",
        asks="ten symbols again, after a delay with nothing in it",
        chance="10 ln 5 / (T + 20) a timestep, every sequence wrong",
        implementation="memory:Memorisation",
        defaults={**_PASCANU, "length": 10, "lr": 0.2},
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=_BY_NEW_SEQUENCES,
    ),
    TaskKind(
        name="recall",
        asks="the first symbol of a sequence, across a gap of noise as long as `--length`",
        chance="ln 4, 75%",
        implementation="memory:Recall",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="cloze",
        asks='the word that only an early one tells: "I grew up in france ... I speak fluent ..."',
        chance="ln 8, 87.5%",
        implementation="cloze:Cloze",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="selective-copy",
        asks="a few symbols again that stood at random places among blanks",
        chance="ln 8, 87.5%",
        implementation="selective_copy:SelectiveCopy",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="associative-recall",
        asks="the value of each of four keys, which stood before it with the key",
        chance="ln 8, 87.5%",
        implementation="associative_recall:AssociativeRecall",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="parity",
        asks="whether the number of ones is odd",
        chance="ln 2, 50%",
        implementation="parity:Parity",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="dyck",
        asks="which bracket is open after one was closed, of four kinds nested up to four deep",
        chance="ln 4, 75%",
        implementation="dyck:Dyck",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="induction",
        asks="which symbol came after the marker when it stood there before",
        chance="ln 16, 93.75%",
        implementation="induction:Induction",
        defaults={**_FAR, "length": 20, "lr": 0.2},
        by_model=_MODELS,
    ),
    TaskKind(
        name="digits",
        asks="which handwritten digit an image shows, read one pixel a timestep",
        chance="ln 10, 90%",
        implementation="digits:Digits",
        defaults=_DIGITS,
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=("held-out", "batches"),
    ),
    TaskKind(
        name="permuted-digits",
        asks="the same, the pixels in one fixed random order",
        chance="ln 10, 90%",
        implementation="digits:Digits",
        variant={"permuted": True},
        defaults=_DIGITS,
        by_model=_MODELS,
        only=_VALIDATED,
        criteria=("held-out", "batches"),
    ),
)


def task_kind(name: str) -> TaskKind | None:
    """The task of that name, None where there is none."""
    return next((kind for kind in TASKS if kind.name == name), None)


def make_task(spec: "TrainingSpec") -> "Task":
    """The task of a spec, its text read and found long enough.

    Raises:
        InputError: a text that cannot be used.
        SettingError: a length that the task cannot have.
    """
    kind = task_kind(spec.task)
    assert kind is not None  # the spec was checked
    return kind.make(spec)


def tasks_with(setting: str) -> tuple[str, ...]:
    """The tasks that a setting is limited to; none where all have it."""
    return tuple(kind.name for kind in TASKS if setting in kind.only)


def depends_on_task(setting: str) -> bool:
    """Whether the default of a setting is another one for some task or model."""
    return any(setting in settings for kind in TASKS for settings in (kind.defaults, *kind.by_model.values()))
