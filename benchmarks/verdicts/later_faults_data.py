"""The later part: short trainings that fail by their data or their task while the gradient is fine, and overfitting."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import common_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family, Label
from benchmarks.verdicts.everyday_nets import accuracy, f1, scored
from benchmarks.verdicts.field_nets import counted, ctc, reinforce, under, validation
from benchmarks.verdicts.labels import AT_CHANCE, DEAD, FIND, FINE, OVERFITS, UNTOLD
from benchmarks.verdicts.nets import Loop, Net, fill, start
from benchmarks.verdicts.projects_nets import Attending, Rebuild, attended, fit, word_errors
from benchmarks.verdicts.tasks import bce, ce, entropy, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("later")

LN4 = {"watch": {"chance_loss": "ln 4"}}
# the net never finds what the task asks for, and the gradient that reaches the far timesteps is small
HARD = UNTOLD.also(causes=("vanishing",), actions="change-initialization change-cell shorten-path raise-forget-bias")


@FAMILIES.family("labels")
def labels_without_inputs(self: Family) -> Iterator[Case]:
    def chance() -> Training:
        return fit(Net("lstm", 3, 20, 4), data.unrelated(14, 32, 1), "adam:0.003", steps=350, **LN4)

    yield self.case("four classes, chance_loss", AT_CHANCE, chance, under(1.45, 1.36))

    def accuracies() -> Training:
        batch, held = data.unrelated(14, 32, 1, classes=5), data.unrelated(14, 300, 2, classes=5)
        return fit(Net("gru", 3, 20, 5), batch, "momentum:0.05", steps=350, metrics=scored(held, 50, val_acc=accuracy))

    yield self.case("five classes, val_acc", UNTOLD, accuracies, under(1.7, 1.58))

    def prior() -> Training:
        batch = data.unrelated(14, 32, 1, classes=3, prior=(0.8, 0.15, 0.05))
        return fit(Net("gru", 3, 20, 3), batch, "adam:0.005", steps=350)

    low = entropy(torch.tensor([0.8, 0.15, 0.05]))
    yield self.case("80, 15 and 5%, nothing is logged", UNTOLD, prior, under(low + 0.06, low - 0.06))


@FAMILIES.family("labels")
def targets_of_other_sequences(self: Family) -> Iterator[Case]:
    def tags() -> Training:
        net = Net("gru", 8, 20, 7, symbols=7, last=False)
        return fit(net, data.mixed(data.weekdays(14, 16, 1), 3), "adam:0.005", steps=300, watch={"chance_loss": "ln 7"})

    yield self.case("next symbols, chance_loss", AT_CHANCE, tags, under(1.99, 1.92))

    def values() -> Training:
        net = Net("lstm", 1, 20, 1, last=False)
        return fit(net, data.mixed(data.boiler(16, 16, 1), 3), "adam:0.003", mse, 350)

    middle = data.boiler_variance(16)
    yield self.case("temperatures, nothing is logged", UNTOLD, values, under(middle + 0.08, middle - 0.08))

    def stale() -> Training:
        kept: list[Tensor] = []

        def change(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            kept.append(y)
            return x, kept.pop(0) if len(kept) > 1 else y

        net = Loop("gru", 3, 20, 5)
        held = validation(data.engines(10, 200, 5, 2), ce, 50, right="val_acc")
        return fit(net, data.mapped(data.engines(10, 32, 5, 1), change), "rmsprop:0.001", steps=300, metrics=held)

    yield self.case("of the batch before, val_acc", UNTOLD, stale, under(1.68, 1.57))


@FAMILIES.family("inputs")
def inputs_without_content(self: Family) -> Iterator[Case]:
    def zeros() -> Training:
        batch = data.mapped(data.engines(12, 32, 4, 1), lambda x, y, step: (x * 0, y))
        return fit(Net("lstm", 3, 20, 4), batch, "adam:0.005", steps=300, **LN4)

    yield self.case("all of zeros", AT_CHANCE, zeros, under(1.45, 1.36))

    def unknown() -> Training:
        net = Net("gru", 8, 20, 5, symbols=3, last=False)
        batch = data.mapped(data.stock(14, 16, 1), lambda x, y, step: (torch.full_like(x, 1), y))
        return fit(net, batch, "adamw:0.005", steps=300, forward=counted(ce))

    yield self.case("each symbol unknown to the vocabulary", UNTOLD, unknown, under(1.6, 1.3))

    def tiny() -> Training:
        batch = data.mapped(data.boiler(16, 16, 1), lambda x, y, step: (1e-6 * x, y))
        return fit(Net("gru", 1, 20, 1, last=False), batch, "momentum:0.02", mse, 300)

    label = UNTOLD.also(actions="scale-inputs change-initialization", causes=("vanishing",))
    yield self.case("in a millionth", label, tiny, under(0.9, 0.5))


@FAMILIES.family("task")
def parity_of_bits(self: Family) -> Iterator[Case]:
    def lstm() -> Training:
        return fit(
            Net("lstm", 1, 16, 2), data.parity(20, 32, 1), "adam:0.002", steps=350, watch={"chance_loss": "ln 2"}
        )

    yield self.case("LSTM, 20 bits, chance_loss", HARD, lstm, under(0.71, 0.68))

    def gru() -> Training:
        held = scored(data.parity(16, 300, 2), 50, val_acc=accuracy)
        return fit(Net("gru", 1, 16, 2), data.parity(16, 32, 1), "momentum:0.05", steps=350, metrics=held)

    yield self.case("GRU, 16 bits, val_acc", HARD, gru, under(0.71, 0.68))


@FAMILIES.family("task")
def hidden_cause(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.mapped(data.odds(12, 32, 1, share=0.9), lambda x, y, step: (x[..., 1:], 5 + y))
        return fit(Net("gru", 1, 20, 1), batch, "adam:0.02", mse, 400)

    yield self.case("regression without the input that explains", UNTOLD, build, under(1.25, 0.8))


@FAMILIES.family("unequal classes")
def majority_alone(self: Family) -> Iterator[Case]:
    low = entropy(torch.tensor([0.92, 0.08]))

    def build() -> Training:
        batch = data.mixed(data.orders(12, 64, 0.08, 1), 3)
        held = scored(data.orders(12, 400, 0.08, 2), 50, f1=f1)
        return fit(Net("gru", 8, 20, 1, symbols=5), batch, "adam:0.005", bce, 350, metrics=held)

    yield self.case("8% positive, F1 of 0", UNTOLD, build, under(low + 0.07, low - 0.07))


@FAMILIES.family("CTC")
def blanks_alone(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 20, 5, last=False)
        held = scored(data.morse(5, 60, 4, 2), 50, cer=word_errors)
        return fit(net, data.mixed(data.morse(5, 16, 4, 1), 3), "adam:0.003", steps=300, forward=ctc, metrics=held)

    yield self.case("transcripts of other records", UNTOLD, build, Expected((0.6, 1.1), "cer"))


@FAMILIES.family("policy gradient")
def rewards_without_actions(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 3, 20, 4)
        batch = data.unrelated(8, 32, 1)
        return fit(net, batch, "adam:0.003", steps=350, forward=reinforce(entropy=0.01))

    yield self.case("REINFORCE, the reward is drawn", UNTOLD, build, Expected((0.2, 0.3), "reward"))

    def punished() -> Training:
        net = Net("lstm", 8, 20, 4, symbols=9)
        return fit(net, data.badge(4, 64, 1), "adam:0.01", steps=400, forward=reinforce(sign=-1.0, baseline=False))

    label = UNTOLD.also(outcomes="diverged", causes=("vanishing",), actions="*")
    yield self.case("REINFORCE with the sign of the reward", label, punished, Expected((0.0, 0.2), "reward"))


@FAMILIES.family("autoencoders")
def code_without_encoder(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = fill(fill(Rebuild(2, 20, 3), "squeeze", 0.0), "decoder.weight_ih", 0.0)
        batch = data.mapped(data.ends(10, 32, 1), lambda x, y, step: (x, x))
        return fit(net, batch, "sgd:0.05", mse, 350)

    label = UNTOLD.also(
        causes=("vanishing", "no-gradient", "parameters-not-updated"), actions="change-initialization connect-loss *"
    )
    yield self.case("code and its weights at 0", label, build, under(0.25, 0.1))


@FAMILIES.family("sequence to sequence")
def source_shuffled(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.mapped(data.cipher(6, 32, 5, 1), lambda x, y, step: (x.roll(1, 1), y))
        return fit(Attending(6, 20), batch, "adam:0.005", steps=250, forward=attended("seq_acc"))

    yield self.case("sources of other pairs", UNTOLD, build, Expected((0.0, 0.05), "seq_acc"))


@FAMILIES.family("padding")
def padding_at_the_end(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def padded(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return torch.cat([x, torch.full((60, x.shape[1]), 9)]), y

        net = start(Net("tanh", 8, 24, 4, symbols=10), "orth", 0.7)
        batch = data.mapped(data.badge(3, 16, 1), padded)
        return fit(net, batch, "adam:0.0003", steps=250, **LN4)

    label = HARD.also(actions="check-data")
    yield self.case(
        "60 timesteps of padding before the state is read", label, build, Expected((1.3, 1.45), kept=(0, 1e-4))
    )

    def loss_of_padding() -> Training:
        batch = data.mapped(data.mixed(data.weekdays(6, 16, 1), 3), _filled)
        net = Net("gru", 8, 20, 8, symbols=8, last=False)
        return fit(net, batch, "adam:0.005", steps=300, forward=_words_alone)

    fine = ("learning", "learned", "unknown", "stuck")
    label = Label(fine, (None,), (*FIND, *FINE), failed=False)
    yield self.case("the loss of padding hides that of the words", label, loss_of_padding, under(0.55, 0.3))


def _filled(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Six timesteps of words and 24 of padding, which is predicted too."""
    rest = torch.full((24, x.shape[1]), 7)
    return torch.cat([x, rest]), torch.cat([y, rest])


def _words_alone(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
    output = net(x)
    words = functional.cross_entropy(output[:6].flatten(0, 1), y[:6].flatten())
    return ce(output, y), {"word_loss": float(words.detach())}


@FAMILIES.family("overfits")
def few_records(self: Family) -> Iterator[Case]:
    def gru() -> Training:
        batch = data.finite(data.engines(10, 40, 5, 1, noise=2.0), 40, 20, 3, each=False)
        held = validation(data.engines(10, 300, 5, 2, noise=2.0), ce, 25, right="val_acc")
        return fit(Net("gru", 3, 40, 5), batch, "adam:0.01", steps=400, metrics=held)

    yield self.case("40 records of engines", OVERFITS, gru, Expected((1.8, 30), "val_loss"))

    def lstm() -> Training:
        batch = data.finite(data.boiler(16, 6, 1, noise=0.8), 6, 6, 3, each=True)
        held = validation(data.boiler(16, 200, 2, noise=0.8), mse, 20)
        return fit(Net("lstm", 1, 40, 1, last=False), batch, "adam:0.02", mse, 500, metrics=held)

    yield self.case("6 records of a boiler", OVERFITS, lstm, Expected((1.1, 30), "val_loss"))


@FAMILIES.family("overfits")
def random_labels_memorized(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch = data.finite(data.unrelated(8, 48, 1), 48, 24, 1, each=False)
        held = validation(data.unrelated(8, 300, 2), ce, 25, right="val_acc")
        return fit(Net("lstm", 3, 40, 4), batch, "adam:0.01", steps=400, metrics=held)

    yield self.case("48 random labels, val_loss", OVERFITS, build, Expected((2.0, 30), "val_loss"))


@FAMILIES.family("dead units")
def rate_that_kills(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("relu", 3, 24, 4), "orth", 0.9)
        return fit(net, data.engines(12, 32, 4, 1), "sgd:15", steps=250, **LN4)

    label = DEAD.also(
        outcomes="diverged broken",
        causes=("learning-rate-high", "exploding", "non-finite"),
        actions="clip check-data overfit-one-batch",
    )
    yield self.case("SGD at 15", label, build, Expected((1.36, math.inf), nonfinite=None))
