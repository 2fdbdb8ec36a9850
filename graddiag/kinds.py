"""The kinds of recurrent cell: all that is known of them without torch, declared once.

A kind is an entry of ``CELL_TYPES`` here, its equations the module of the same name in ``graddiag.cells`` and its layer
the class of the same title in ``graddiag.nn``. Nobody else asks for a kind by name: the rest of graddiag asks what a
kind has.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

ModelKind = Literal["rnn", "lstm", "gru"]
"""A kind of cell by name; the keys of ``CELL_TYPES``."""

Nonlinearity = Literal["tanh", "relu", "sigmoid", "identity", "truncated-relu"]
"""The activation of a plain RNN; truncated-relu is min(max(a, 0), 20)."""

NONLINEARITIES: Final[tuple[Nonlinearity, ...]] = get_args(Nonlinearity)

Activation = Literal["sigmoid", "tanh", "nonlinearity"]
"""What a gate's pre-activation goes through; nonlinearity: the one that the layer was built with."""


@dataclass(frozen=True)
class Gate:
    """One block of H rows of the weights. ``name`` is what tables store; a letter means the same gate in every kind."""

    name: str
    title: str
    activation: Activation


@dataclass(frozen=True)
class KeepingGate:
    """The gate that multiplies the old state: open, it keeps what the cell holds.

    Attributes:
        bias: what its bias is called in advice; note: what is added of it there; source: where the advice comes from.
        entering: the gate that lets in what is new, where it is another one; chrono initialization shuts it.
    """

    name: str
    bias: str
    note: str
    source: str
    entering: str | None = None


@dataclass(frozen=True)
class CellType:
    """One kind of cell.

    Attributes:
        title: how it is written in text; the name of its layer in ``graddiag.nn`` and, where there is one, torch.nn.
        gates: in the order of the rows of its weights; one that is the state itself for a plain RNN.
        states: what is handed from timestep to timestep: h, or h and c.
        keeping: the gate that keeps the state; None for a plain RNN.
        nonlinearities: those that it can be built with; none where they are part of its definition. Such a cell takes
            layer norm, residual connections, an identity initialization and Omega too.
        projects: whether its output may be projected (torch's proj_size).
        start: settings of the lab that suit it, by name.
    """

    name: ModelKind
    title: str
    gates: tuple[Gate, ...]
    states: tuple[str, ...] = ("h",)
    keeping: KeepingGate | None = None
    nonlinearities: tuple[Nonlinearity, ...] = ()
    projects: bool = False
    start: Mapping[str, float] = field(default_factory=dict)

    @property
    def with_article(self) -> str:
        """An LSTM, a GRU: the abbreviation is read letter by letter."""
        return f"{'an' if self.title[0] in 'AEFHILMNORSX' else 'a'} {self.title}"

    @property
    def gate_names(self) -> tuple[str, ...]:
        """In the order of the rows of its weights."""
        return tuple(gate.name for gate in self.gates)

    @property
    def has_cell_state(self) -> bool:
        """Whether it hands on c beside h."""
        return "c" in self.states


CELL_TYPES: Final[Mapping[ModelKind, CellType]] = {
    "rnn": CellType(
        name="rnn",
        title="RNN",
        gates=(Gate("h", "activation h", "nonlinearity"),),
        nonlinearities=NONLINEARITIES,
        start={"init_std": 0.1},
    ),
    "lstm": CellType(
        name="lstm",
        title="LSTM",
        gates=(
            Gate("i", "input gate i", "sigmoid"),
            Gate("f", "forget gate f", "sigmoid"),
            Gate("g", "candidate g", "tanh"),
            Gate("o", "output gate o", "sigmoid"),
        ),
        states=("h", "c"),
        keeping=KeepingGate(
            name="f",
            bias="the forget-gate bias",
            note=" (the sum of torch's two biases)",
            source="Jozefowicz et al. 2015; Tallec & Ollivier 2018",
            entering="i",
        ),
        projects=True,
        start={"forget_bias": 2.0},
    ),
    "gru": CellType(
        name="gru",
        title="GRU",
        gates=(
            Gate("r", "reset gate r", "sigmoid"),
            Gate("z", "update gate z", "sigmoid"),
            Gate("n", "candidate n", "tanh"),
        ),
        keeping=KeepingGate(name="z", bias="the bias of the update gate z", note="", source="Tallec & Ollivier 2018"),
        start={"forget_bias": 1.0},
    ),
}

MODELS: Final[tuple[ModelKind, ...]] = tuple(CELL_TYPES)

GATES: Final[Mapping[str, Gate]] = {gate.name: gate for kind in CELL_TYPES.values() for gate in kind.gates}
"""Every gate by name, in the order in which they are shown."""

KEEPING: Final = frozenset(kind.keeping.name for kind in CELL_TYPES.values() if kind.keeping is not None)
"""The names of the gates that keep a state: to be open all the time is what they are for."""


def type_by_gates(names: Collection[str]) -> CellType | None:
    """The kind with exactly these gates; None where there is none."""
    return next((kind for kind in CELL_TYPES.values() if set(names) == set(kind.gate_names)), None)


def is_state(gate: str) -> bool:
    """Whether a gate is the state of a plain RNN itself: its activations are saturated, not a gate."""
    return gate in GATES and GATES[gate].activation == "nonlinearity"


def keeping_gates() -> str:
    """The gates that keep a state, as a message names them: f of an LSTM, z of a GRU."""
    return ", ".join(f"{kind.keeping.name} of {kind.with_article}" for kind in CELL_TYPES.values() if kind.keeping)


def plain_models() -> str:
    """The kinds whose nonlinearity can be chosen, quoted as in a message: 'rnn'."""
    return " or ".join(repr(kind.name) for kind in CELL_TYPES.values() if kind.nonlinearities)


def models_with_cell_state() -> str:
    """The kinds that hand on c beside h, quoted as in a message: 'lstm'."""
    return " or ".join(repr(kind.name) for kind in CELL_TYPES.values() if kind.has_cell_state)
