"""The trainings of the suite: what is varied, the grid, and random draws from the same ranges."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain, product
from typing import Final, Literal

Kind = Literal["tanh", "relu", "gru", "lstm"]
Init = Literal["default", "orthogonal", "identity", "gaussian"]
TaskName = Literal["recall", "order", "echo", "text"]

LAST: Final = ("recall", "order")  # the tasks with one loss, at the last timestep


@dataclass(frozen=True)
class Case:
    """One training.

    kind: the cell; tanh and relu are plain RNNs. task: ``recall`` (name the first input at the end), ``order`` (the
    lab's temporal order), ``echo`` (name the input of two timesteps ago, at each) or ``text`` (the lab's next
    character). init: of W_hh, per block of gates: ``scale`` times an orthogonal or the identity matrix, or
    N(0, scale^2 / hidden); biases 0. drive: factor of the inputs. keep_bias: of the gate that keeps the state, f of an
    LSTM, z of a GRU. clip: threshold of the global norm. every: steps from one recording to the next.
    """

    kind: Kind
    length: int
    init: Init = "default"
    scale: float = 1.0
    task: TaskName = "recall"
    drive: float = 1.0
    keep_bias: float | None = None
    hidden: int = 32
    layers: int = 1
    batch: int = 8
    lr: float = 0.01
    optimizer: Literal["sgd", "adam"] = "sgd"
    clip: float | None = None
    steps: int = 30
    every: int = 1
    seed: int = 0

    @property
    def name(self) -> str:
        """In words, without what is at its default."""
        start = self.init if self.init == "default" else f"{self.scale:g} x {self.init}"
        described = ("kind", "length", "init", "scale", "task")
        rest = (f"{f.name} {getattr(self, f.name)}" for f in fields(self) if f.name not in described and self._set(f))
        return ", ".join([f"{self.kind} T={self.length} {self.task}", start, *rest])

    def _set(self, field) -> bool:
        return getattr(self, field.name) != field.default


# W_hh has a spectral radius of 1.25, and yet the gradient hardly grows: the inputs hold the units near saturation
SATURATED: Final = Case("tanh", 100, "orthogonal", 1.25, hidden=128, lr=1e-4)


def grid() -> tuple[Case, ...]:
    """The suite."""
    groups = (_rnn(), _driven(), _gated(), _each(), _order(), _training(), _noisy(), _growing())
    found = dict.fromkeys(chain.from_iterable(groups))
    return tuple(replace(case, seed=number) for number, case in enumerate(found))


def _rnn() -> Iterator[Case]:
    for g, T in product((0.5, 0.8, 0.95, 1.0, 1.05, 1.25), (20, 100)):
        yield Case("tanh", T, "orthogonal", g, drive=0.3)
    for g in (0.9, 1.0, 1.1):
        yield Case("tanh", 200, "orthogonal", g, drive=0.1, steps=20)
    for g, T in product((0.5, 0.9, 1.0, 1.1, 1.3), (20, 80)):
        yield Case("relu", T, "identity", g)
    for g in (0.7, 1.0, 1.5, 2.0):
        yield Case("relu", 50, "orthogonal", g)
    for g, T in product((1.0, 1.4, 2.0), (30, 100)):
        yield Case("relu", T, "gaussian", g)
    for g, T in product((0.5, 1.0, 1.5, 3.0), (30, 100)):
        yield Case("tanh", T, "gaussian", g, drive=0.3)
    yield Case("relu", 200, "gaussian", 5.0, steps=20)


def _driven() -> Iterator[Case]:
    """Inputs that saturate, and the nets of 128 units on which other tools were tried."""
    for g, drive in product((0.7, 1.0, 1.25), (0.3, 1.0)):
        yield Case("tanh", 100, "orthogonal", g, drive=drive, hidden=128, lr=1e-4)
    for g, drive in product((0.9, 1.25, 1.5), (3.0, 10.0)):
        yield Case("tanh", 50, "orthogonal", g, drive=drive)
    for kind in ("lstm", "gru"):
        yield Case(kind, 50, drive=10.0)


def _gated() -> Iterator[Case]:
    for kind, T in product(("tanh", "relu", "gru", "lstm"), (20, 100)):
        yield Case(kind, T)
    for bias, T in product((-3.0, 0.0, 1.0, 3.0, 5.0), (50, 150)):
        yield Case("lstm", T, keep_bias=bias, steps=20)
    for bias, T in product((-3.0, 0.0, 2.0, 4.0), (50, 150)):
        yield Case("gru", T, keep_bias=bias, steps=20)
    for kind, g in product(("lstm", "gru"), (2.0, 5.0)):
        yield Case(kind, 100, "gaussian", g, drive=0.3, steps=20)
    for kind, g in product(("lstm", "gru"), (1.0, 3.0)):
        yield Case(kind, 60, "orthogonal", g, steps=20)


def _each() -> Iterator[Case]:
    """A loss at each timestep."""
    for g, T in product((0.02, 0.3, 0.7, 1.0, 1.25), (50, 150)):
        yield Case("tanh", T, "orthogonal", g, "echo", drive=0.3, steps=20)
    for g in (0.02, 1.0, 1.2):
        yield Case("relu", 60, "identity", g, "echo")
    yield Case("tanh", 60, "gaussian", 3.0, "echo", drive=0.3)
    yield Case("tanh", 60, "gaussian", 1.0, "echo", drive=30.0)
    for kind, bias in (("lstm", -6.0), ("lstm", 1.0), ("lstm", 4.0), ("gru", -3.0), ("gru", 3.0)):
        yield Case(kind, 60, task="echo", keep_bias=bias)
    for kind in ("tanh", "relu", "gru", "lstm"):
        yield Case(kind, 50, task="text", lr=0.5)
    for clip in (None, 0.5):
        yield Case("tanh", 50, task="text", lr=3.0, clip=clip, hidden=64, steps=60)


def _order() -> Iterator[Case]:
    """Temporal order, from N(0, .1^2) for 50 units as Pascanu et al. (2013) start it, and with gates."""
    for T, clip in product((20, 50, 100), (None, 1.0)):
        yield Case("tanh", T, "gaussian", 0.7, "order", hidden=50, batch=20, lr=0.1, clip=clip)
    for kind, T in product(("lstm", "gru"), (20, 50)):
        yield Case(kind, T, task="order", keep_bias=2.0, lr=0.5, batch=20)


def _training() -> Iterator[Case]:
    """Learning rates, batch sizes, optimizers, clipping, depth."""
    for lr in (0.001, 0.1, 1.0, 10.0):
        yield Case("tanh", 50, "orthogonal", 1.0, lr=lr, drive=0.3)
    for batch in (1, 64):
        yield Case("tanh", 50, "orthogonal", 1.0, batch=batch, drive=0.3)
    for lr, clip in product((0.001, 0.1), (None, 1.0)):
        yield Case("relu", 60, "identity", 1.0, lr=lr, clip=clip)
    for kind in ("tanh", "lstm"):
        yield Case(kind, 50, optimizer="adam", lr=0.01, keep_bias=1.0 if kind == "lstm" else None)
    yield Case("relu", 40, "orthogonal", 1.5, clip=1.0)
    for kind, task in product(("tanh", "lstm"), ("recall", "echo")):
        yield Case(kind, 40, task=task, layers=2)
    for lr in (100.0, 1000.0):
        yield Case("relu", 30, "identity", 1.0, "echo", lr=lr)


def _noisy() -> Iterator[Case]:
    """Norms that jump, and norms that merely jitter: large learning rates, and batches of one sequence."""
    for lr in (1.0, 2.0, 5.0):
        yield Case("tanh", 50, task="text", lr=lr, steps=60)
    for lr in (2.0, 10.0):
        yield Case("lstm", 50, task="text", lr=lr)
    for kind, task in product(("tanh", "relu", "gru", "lstm"), ("echo", "text")):
        yield Case(kind, 30, task=task, batch=1, lr=0.1, keep_bias=1.0 if kind in ("gru", "lstm") else None, steps=60)
    for kind in ("tanh", "lstm"):
        yield Case(kind, 20, "orthogonal", 1.0, "order", batch=1, lr=0.1, keep_bias=2.0 if kind == "lstm" else None)


def _growing() -> Iterator[Case]:
    """Explosion that lasts: learning rates so small, or clipping so tight, that it does not end in NaN at once."""
    for g, clip in product((1.25, 1.5), (None, 1.0)):
        yield Case("tanh", 50, "orthogonal", g, drive=0.01, lr=1e-5, clip=clip)
    for clip in (600.0, 10_000.0):
        yield Case("tanh", 50, "orthogonal", 1.5, drive=0.01, lr=1e-5, clip=clip)
    yield Case("tanh", 50, "gaussian", 2.0, drive=0.03, lr=1e-6)
    for kind, T, init, g, lr in (
        ("relu", 60, "identity", 1.1, 1e-6),
        ("relu", 30, "gaussian", 2.0, 1e-8),
        ("relu", 50, "orthogonal", 2.0, 1e-9),
        ("lstm", 60, "orthogonal", 5.0, 1e-5),
        ("lstm", 60, "gaussian", 8.0, 1e-9),
        ("gru", 60, "orthogonal", 4.0, 1e-6),
        ("gru", 60, "gaussian", 5.0, 1e-7),
    ):
        yield Case(kind, T, init, g, lr=lr, every=5)
    yield Case("tanh", 60, "orthogonal", 1.25, "echo", drive=0.01, lr=1e-4, every=5)
    yield Case("relu", 60, "identity", 1.25, "echo", lr=1e-8)
    for kind, g in (("lstm", 6.0), ("gru", 4.0)):
        yield Case(kind, 60, "orthogonal", g, "echo", drive=0.1, lr=1e-6, steps=20)


def reduced() -> tuple[Case, ...]:
    """Some of the grid, of each kind and each truth; what the tests run."""
    wanted = {
        Case("tanh", 100, "orthogonal", 0.7, hidden=128, lr=1e-4),
        SATURATED,
        Case("tanh", 20, "orthogonal", 1.0, drive=0.3),
        Case("tanh", 50, "orthogonal", 1.5, drive=0.01, lr=1e-5),
        Case("tanh", 50, "orthogonal", 1.5, drive=0.01, lr=1e-5, clip=1.0),
        Case("tanh", 50, "orthogonal", 1.5, drive=0.01, lr=1e-5, clip=600.0),
        Case("tanh", 50, "orthogonal", 0.3, "echo", drive=0.3, steps=20),
        Case("tanh", 50, "orthogonal", 0.02, "echo", drive=0.3, steps=20),
        Case("tanh", 50, "gaussian", 0.7, "order", hidden=50, batch=20, lr=0.1),
        Case("relu", 20, "identity", 1.0),
        Case("relu", 30, "gaussian", 2.0),
        Case("lstm", 50, keep_bias=0.0, steps=20),
        Case("lstm", 50, keep_bias=3.0, steps=20),
        Case("gru", 50, keep_bias=4.0, steps=20),
        Case("gru", 60, "orthogonal", 4.0, lr=1e-6, every=5),
        Case("tanh", 50, task="text", lr=3.0, hidden=64, steps=60),
    }
    return tuple(case for case in grid() if replace(case, seed=0) in wanted)


def drawn(count: int, seed: int) -> tuple[Case, ...]:
    """``count`` trainings at random from the same ranges: whether the rules hold for more than the grid."""
    chance = random.Random(seed)
    return tuple(replace(_draw(chance), seed=number) for number in range(count))


def _draw(chance: random.Random) -> Case:
    kind: Kind = chance.choice(("tanh", "tanh", "relu", "gru", "lstm"))
    gated = kind in ("gru", "lstm")
    init: Init = chance.choice(("default", "orthogonal", "gaussian", "default" if gated else "identity"))
    return Case(
        kind,
        chance.choice((20, 35, 50, 75, 100)),
        init,
        1.0 if init == "default" else round(2 ** chance.uniform(-1, 3 if gated else 1.5), 2),
        chance.choice(("recall", "recall", "order", "echo", "text")),
        drive=float(f"{10 ** chance.uniform(-2, 1):.1g}"),
        keep_bias=round(chance.uniform(-3, 4), 1) if gated and chance.random() < 0.7 else None,
        hidden=chance.choice((16, 32, 48)),
        batch=chance.choice((4, 8, 16)),
        lr=float(f"{10 ** chance.uniform(-6, 0.5):.1g}"),
        clip=chance.choice((None, None, 1.0)),
        steps=20,
    )
