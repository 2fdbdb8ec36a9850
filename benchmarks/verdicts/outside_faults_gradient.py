"""The outside part: short trainings that fail by what becomes of the gradient on its way back through time."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.verdicts import projects_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.field_nets import Seq2Seq, carried, counted, translating, under
from benchmarks.verdicts.labels import (
    CLIPPED_EXPLODES,
    CUT,
    DEAD,
    EXPLODES,
    FADES,
    NO_GRADIENT,
    SATURATES,
)
from benchmarks.verdicts.nets import Loop, Net, Tapped, fill, keep, start
from benchmarks.verdicts.projects_nets import fit, reading
from benchmarks.verdicts.sequences import reversal
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("outside")

QUARTER = {"watch": {"chance_loss": "ln 4"}}
ABOVE = (1.25, 1.6)  # about ln 4


def grows(low: float, final: tuple[float, float] = (-math.inf, math.inf)) -> Expected:
    return Expected(final=final, growth=(low, math.inf), nonfinite=None)


@FAMILIES.family("exploding")
def radar_explodes(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 2, 32, 2, last=False), "gauss", 3.0)
        return fit(net, data.radar(50, 16, 1), "sgd:0.05", mse, 300)

    label = EXPLODES.also(causes=("learning-rate-high", "saturated-gates"))
    yield self.case("tanh from three times a Gaussian", label, build, Expected((3.0, math.inf), nonfinite=None))


@FAMILIES.family("exploding")
def recall_explodes(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 2.2)
        return fit(net, data.gap_recall(30, 32, 1), "adam:0.0003", steps=300, **QUARTER)

    yield self.case("Adam", EXPLODES, build, grows(30, (1.3, math.inf)))

    def clipped() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 2.2)
        return fit(net, data.gap_recall(30, 32, 2), "sgd:0.001", steps=300, clip="norm:50", **QUARTER)

    label = CLIPPED_EXPLODES.also(actions="*")
    yield self.case("clipped at 50", label, clipped, grows(30, (1.3, math.inf)))


@FAMILIES.family("exploding")
def relu_overflows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 3, 24, 3, last=False), "orth", 1.7)
        return fit(net, data.plant(60, 16, 1), "sgd:0.01", mse, 200)

    yield self.case("relu over 60 timesteps, SGD", EXPLODES, build, Expected(growth=(1000, math.inf), nonfinite=True))


@FAMILIES.family("vanishing")
def recall_fades(self: Family) -> Iterator[Case]:
    def tanh() -> Training:
        net = start(Net("tanh", 8, 24, 4, symbols=8), "orth", 0.4)
        return fit(net, data.gap_recall(30, 32, 1), "adam:0.002", steps=400, **QUARTER)

    yield self.case("tanh from 0.4 of an orthogonal matrix", FADES, tanh, Expected(ABOVE, kept=(0, 1e-4)))

    def lstm() -> Training:
        net = keep(Net("lstm", 8, 24, 4, symbols=8), -5.0)
        return fit(net, data.gap_recall(30, 32, 2), "adamw:0.002", steps=400, forward=counted(ce))

    yield self.case("LSTM that forgets", FADES, lstm, Expected(ABOVE, kept=(0, 1e-4)))

    def gru() -> Training:
        net = keep(Net("gru", 8, 24, 4, symbols=8), -5.0)
        return fit(net, data.gap_recall(40, 32, 3), "rmsprop:0.001", steps=400, **QUARTER)

    yield self.case("GRU that overwrites", FADES, gru, Expected(ABOVE, kept=(0, 1e-4)))


@FAMILIES.family("vanishing")
def sigmoid_fades(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Tapped(torch.sigmoid, 8, 24, 4, symbols=8)
        return fit(net, data.gap_recall(24, 32, 1), "adam:0.002", steps=400, **QUARTER)

    yield self.case("a recurrence by hand", FADES, build, Expected(ABOVE))


@FAMILIES.family("vanishing")
def long_records(self: Family) -> Iterator[Case]:
    def change(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, (x[0, :, 0] > 0).long()

    def build() -> Training:
        net = Net("lstm", 3, 16, 2)
        batch = data.altered(data.plant(120, 16, 1), change)
        return fit(net, batch, "adam:0.001", steps=300, clip="norm:1", watch={"chance_loss": "ln 2"})

    yield self.case("the first of 120 readings", FADES, build, Expected((0.65, 0.75), kept=(0, 1e-5)))


@FAMILIES.family("truncated")
def cut_loops(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        net = Loop("lstm", 8, 24, 4, symbols=8, cut=lambda t, T: t % 4 == 3)
        return fit(net, data.gap_recall(16, 32, 1), "adam:0.005", steps=400, **QUARTER)

    yield self.case("LSTM cells cut every fourth timestep", CUT, lstm, Expected(ABOVE))

    def gru() -> Training:
        net = Loop("gru", 8, 24, 4, symbols=8, cut=lambda t, T: t % (T // 3) == T // 3 - 1)
        return fit(net, data.gap_recall(27, 32, 2), "adam:0.005", steps=400, forward=counted(ce))

    yield self.case("GRU cells cut at each third", CUT, gru, Expected(ABOVE))


@FAMILIES.family("truncated")
def reversal_without_source(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Seq2Seq(9, 24, cut=True)
        return fit(net, reversal(6, 32, 8, 1), "adam:0.005", steps=400, forward=translating(), clip="norm:5")

    causes = ("no-gradient", "truncated-reach", "parameters-not-updated")
    label = Label(("learning", "stuck", "learned"), causes, ("remove-detach", "connect-loss"), failed=False)
    yield self.case("the encoder's state is detached", label, build, under(1.6, 0.3))


@FAMILIES.family("truncated")
def short_windows(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch, forward = carried(9, 4, 32, 4, 1)
        net = Net("lstm", 8, 24, 4, symbols=4, last=False)
        return fit(net, batch, "adam:0.005", steps=500, forward=forward, **QUARTER)

    yield self.case("windows of 4 for a lag of 9", CUT, build, Expected(ABOVE))


@FAMILIES.family("no gradient")
def read_without_gradient(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return ce(reading(net, x, detach=True), y)  # type: ignore[arg-type]

    def build() -> Training:
        net = Net("gru", 8, 24, 4, symbols=8)
        return fit(net, data.gap_recall(16, 32, 1), "adam:0.005", steps=300, forward=forward, **QUARTER)

    label = NO_GRADIENT.also(causes=("truncated-reach", "parameters-not-updated"))
    yield self.case("detached before the head", label, build, Expected(ABOVE))


@FAMILIES.family("no gradient")
def loss_from_item(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        return torch.tensor(ce(net(x), y).item(), requires_grad=True)

    def build() -> Training:
        net = Net("lstm", 1, 16, 3)
        return fit(net, data.heartbeats(24, 32, 1), "adam:0.01", steps=200, forward=forward)

    label = NO_GRADIENT.also(causes=("parameters-not-updated",), actions="update-parameters")
    yield self.case("a loss made anew of its number", label, build, under(1.3, 1.0))


@FAMILIES.family("no gradient")
def hard_choice(self: Family) -> Iterator[Case]:
    def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
        guessed = net(x).argmax(-1).float()
        return mse(guessed + 0 * sum(p.sum() for p in net.parameters()), y.float())

    def build() -> Training:
        net = Net("gru", 8, 16, 4, symbols=8)
        return fit(net, data.gap_recall(6, 32, 1), "adam:0.01", steps=200, forward=forward)

    label = NO_GRADIENT.also(causes=("parameters-not-updated", "vanishing"), actions="update-parameters")
    yield self.case("the loss of an argmax", label, build, under(5.0, 1.0))


@FAMILIES.family("dead units")
def dead_from_the_start(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = fill(Net("relu", 8, 24, 4, symbols=8), "bias_hh", -6.0)
        return fit(net, data.gap_recall(8, 32, 1), "adam:0.002", steps=300, **QUARTER)

    yield self.case("a bias of -6", DEAD, build, Expected(ABOVE))


@FAMILIES.family("dead units")
def dead_by_a_step(self: Family) -> Iterator[Case]:
    def kill(step: int, net: nn.Module, used: object) -> None:
        if step == 3:
            fill(net, "bias_ih", -40.0)

    def build() -> Training:
        net = Net("relu", 3, 24, 3, last=False)
        return fit(net, data.plant(12, 16, 1), "momentum:0.01", mse, 300, before=kill)

    label = DEAD.also(causes=("learning-rate-high", "no-gradient", "changed-during-training"), actions="revert-change")
    yield self.case("thrown there at step 3", label, build, under(1.5, 0.35))


@FAMILIES.family("saturated")
def gates_at_their_ends(self: Family) -> Iterator[Case]:
    def inputs() -> Training:
        net = Net("lstm", 3, 16, 2)
        batch = data.altered(data.plant(16, 32, 1), lambda step, x, y: (5000 * x, (x[:8, :, 0].mean(0) > 0).long()))
        return fit(net, batch, "adam:0.002", steps=400, watch={"chance_loss": "ln 2"})

    label = Label(("learning", "stuck"), SATURATES.causes, SATURATES.actions, failed=False)
    yield self.case("inputs of thousands", label, inputs, under(0.65, 0.45))

    def closed() -> Training:
        net = fill(Net("lstm", 8, 24, 4, symbols=8), "bias_ih", -12.0)
        return fit(net, data.gap_recall(8, 32, 1), "adam:0.002", steps=400, **QUARTER)

    yield self.case("gates that are closed by a bias of -12", SATURATES, closed, Expected(ABOVE))
