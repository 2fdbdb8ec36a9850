"""The next part: short trainings that fail in projects: agents, CTC, decoders, codes, likelihoods, false progress."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.verdicts import agents, likelihoods
from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Families, Family, Label
from benchmarks.verdicts.coming_nets import Codec, between, fit, lifetime, poisson, policy, wild
from benchmarks.verdicts.common_data import mapped, mixed, unrelated
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import VAE, Seq2Seq, counted, ctc, elbo, reinforce, translating, validation
from benchmarks.verdicts.labels import AT_CHANCE, FIND, LR_HIGH, LR_LOW, NO_GRADIENT, UNTOLD
from benchmarks.verdicts.nets import Net, start, times
from benchmarks.verdicts.sequences import repeated, reversal
from benchmarks.verdicts.tasks import ce, generator, mse, nll
from benchmarks.verdicts.training import Scalars, Training

FAMILIES = Families("next")


def mean_r2(output: Tensor, target: Tensor) -> Tensor:
    return r2(output[..., :1], target)


@FAMILIES.family("policy gradient")
def agents_that_do_not_learn(self: Family) -> Iterator[Case]:
    def tagger() -> Net:
        return Net("gru", 8, 24, 5, symbols=3, last=False)

    def sign() -> Training:
        return fit(tagger(), data.machine(8, 64, 1), "adam:0.01", steps=300, forward=policy(sign=-1.0))

    label = Label(("stuck", "diverged"), (None,), (*FIND, "lower-learning-rate"))
    yield self.case("the reward is made as small as can be", label, sign, between(0, 0.15, "reward"))

    def luck() -> Training:
        forward = policy(reward=lambda taken, y: (torch.rand(y.shape) < 0.3).float())
        return fit(tagger(), data.machine(8, 32, 1), "adam:0.003", steps=350, forward=forward)

    yield self.case("a reward by chance", AT_CHANCE, luck, between(0.25, 0.35, "reward"))

    def bonus() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=9)
        return fit(net, data.spotted(8, 64, 1), "adam:0.005", steps=350, forward=reinforce(entropy=10.0))

    yield self.case("a bonus for entropy of 10", AT_CHANCE, bonus, between(0.15, 0.27, "reward"))

    def collapse() -> Training:
        net = Net("gru", 8, 24, 5, symbols=9)
        return fit(net, data.spotted(12, 64, 1), "adam:3", steps=300, forward=reinforce())

    label = LR_HIGH.also(
        causes=(None, "saturated-gates", "no-gradient", "vanishing"), actions="check-data overfit-one-batch"
    )
    yield self.case("one action since the first steps", label, collapse, between(0.1, 0.3, "reward"))

    def blind() -> Training:
        net = Net("gru", 3, 16, 4)
        return fit(net, repeated(unrelated(8, 64, 1), 4), "adam:0.003", steps=400, forward=agents.surrogate())

    yield self.case("a clipped surrogate without a signal", AT_CHANCE, blind, between(0.15, 0.35, "reward"))


@FAMILIES.family("policy gradient")
def values_that_grow(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        held = copy.deepcopy(net)
        forward = agents.q_learning(held, 4, gamma=1.6, refresh=10)
        batch = mapped(data.stream(1, 12, 32, 1), lambda x, y, step: (torch.randint_like(x, 4), y))
        return fit(net, batch, "sgd:0.5", steps=400, forward=forward)

    causes = (None, "exploding", "learning-rate-high")
    label = Label(("diverged", "stuck", "broken"), causes, (*FIND, "lower-learning-rate", "clip"))
    yield self.case("Q-learning, a discount above 1", label, build, wild(2.0))


@FAMILIES.family("CTC")
def letters_that_are_not_found(self: Family) -> Iterator[Case]:
    def other() -> Training:
        net = Net("gru", 4, 24, 5, last=False, bidirectional=True)
        return fit(net, mixed(data.speech(4, 32, 1), 3), "adam:0.005", forward=ctc)

    yield self.case("transcripts of other records", UNTOLD, other, between(1.0, 1.9))

    def slow() -> Training:
        net = Net("lstm", 4, 24, 5, last=False)
        return fit(net, data.speech(3, 32, 1), "sgd:0.00002", forward=ctc)

    yield self.case("SGD at 2e-5", LR_LOW, slow, between(3.0, 8.0))

    def short() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> Tensor:
            log_p = functional.log_softmax(net(x)[::8], -1)
            frames, letters = torch.full((len(y),), len(log_p)), torch.full((len(y),), y.shape[1])
            return functional.ctc_loss(log_p, y, frames, letters, zero_infinity=True)

        net = Net("gru", 4, 24, 5, last=False)
        return fit(net, data.speech(5, 16, 1), "adam:0.005", steps=250, forward=forward)

    label = NO_GRADIENT.also(
        causes=(None, "parameters-not-updated"),
        outcomes="broken unknown",
        actions="check-data check-batch overfit-one-batch log-metric",
    )
    yield self.case("too few frames, and infinite losses are zeroed", label, short, between(-0.01, 0.01))


@FAMILIES.family("sequence to sequence")
def sources_that_do_not_help(self: Family) -> Iterator[Case]:
    def build() -> Training:
        batch, draw = reversal(6, 32, 6, 1), generator(8)
        drawn = mapped(batch, lambda x, y, step: (torch.randint(1, 7, x.shape, generator=draw), y))
        return fit(Seq2Seq(7, 32), drawn, "adam:0.005", forward=translating())

    yield self.case("sources of other pairs", AT_CHANCE, build, between(0.1, 0.25, "token_acc"))


@FAMILIES.family("autoencoder")
def codes_that_hold_nothing(self: Family) -> Iterator[Case]:
    def collapsed() -> Training:
        return fit(VAE(1, 24, 3), data.tides(12, 32, 1), "adam:0.005", steps=350, forward=elbo(lambda step: 40.0))

    yield self.case("VAE, a KL under a weight of 40", UNTOLD, collapsed, between(20, 28))

    def white() -> Training:
        def noise(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(x.shape, generator=generator(step + len(x[0])))
            return x, x

        held = scored(mapped(data.tides(24, 100, 2), noise), 20, val_r2=r2)
        return fit(Codec(nn.LSTM, 1, 24, 1), mapped(data.tides(24, 32, 1), noise), "adam:0.003", mse, metrics=held)

    yield self.case("white noise in a code of one number", AT_CHANCE, white, between(-0.1, 0.09, "val_r2"))


@FAMILIES.family("false progress")
def spreads_that_grow(self: Family) -> Iterator[Case]:
    def one() -> Training:
        far = mapped(unrelated(10, 32, 1), lambda x, y, step: (x, 40 * (y.float()[:, None] - 1.5)))
        held = scored(
            mapped(unrelated(10, 200, 2), lambda x, y, step: (x, 40 * (y.float()[:, None] - 1.5))), 20, val_r2=mean_r2
        )
        return fit(Net("gru", 3, 16, 2), far, "adam:0.02", nll, 350, metrics=held)

    yield self.case("the deviation of a Gaussian alone", AT_CHANCE, one, between(-0.3, 0.05, "val_r2"))

    def two() -> Training:
        def forward(net: likelihoods.Weighed, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output, number = net(x), 3 * torch.randn(len(y), 1)
            found = {"acc": float((output[:, 1:].argmax(-1) == y).float().mean())}
            return net.loss(output, y, number), found

        return fit(
            likelihoods.Weighed(Net("lstm", 3, 16, 5)), unrelated(10, 32, 1), "adam:0.005", steps=350, forward=forward
        )

    yield self.case(
        "learned weights of two losses", AT_CHANCE.also(outcomes="unknown"), two, between(0.18, 0.36, "acc")
    )


@FAMILIES.family("false progress")
def a_weight_that_falls(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            return 0.99**step * ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

        net = Net("gru", 8, 24, 5, symbols=9)
        held = scored(data.spotted(10, 200, 2), 20, val_acc=accuracy)
        return fit(net, mixed(data.spotted(10, 32, 1), 3), "momentum:0.05", steps=350, forward=forward, metrics=held)

    yield self.case("the loss falls with its weight", AT_CHANCE, build, between(0.05, 0.35, "val_acc"))

    def beside() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            task, other = ce(output[:, :4], y), mse(output[:, 4:], x[-1, :, :1])
            return task + 30 * other, {
                "cls_loss": float(task),
                "cls_acc": float((output[:, :4].argmax(-1) == y).float().mean()),
            }

        return fit(Net("lstm", 3, 16, 5), unrelated(8, 48, 1), "adam:0.01", steps=350, forward=forward)

    yield self.case(
        "a loss beside the task is learned", AT_CHANCE.also(outcomes="unknown"), beside, between(0.18, 0.36, "cls_acc")
    )


@FAMILIES.family("false progress")
def codes_that_become_one(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            code = net(x)
            apart = (code[:, None] - code).square().sum(-1)
            others = -apart - 1e9 * torch.eye(len(code))
            same = (y[:, None] == y).float()
            found = (same * apart).sum() / same.sum() + 0.1 * code.square().mean()
            return found, {"nearest_acc": float((y[others.argmax(-1)] == y).float().mean())}

        return fit(Net("gru", 3, 16, 6), unrelated(8, 48, 1), "adam:0.005", steps=300, forward=forward)

    label = AT_CHANCE.also(causes=("vanishing",), outcomes="unknown", actions="log-metric")
    yield self.case("pairs of the same class alone", label, build, between(0.1, 0.4, "nearest_acc"))


@FAMILIES.family("false progress")
def events_that_are_never_seen(self: Family) -> Iterator[Case]:
    def concordance(output: Tensor, target: Tensor) -> Tensor:
        sooner = target[:, 0][:, None] < target[:, 0]
        return (output[:, 0][:, None] > output[:, 0])[sooner].float().mean()

    def build() -> Training:
        def unseen(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x, torch.cat([y[:, :1], 0 * y[:, 1:]], -1)

        held = scored(mixed(data.lifetimes(10, 300, 2), 5), 20, val_concordance=concordance)
        net = Net("gru", 2, 16, 1)
        return fit(net, mixed(mapped(data.lifetimes(10, 64, 1), unseen), 3), "adam:0.01", lifetime, 300, metrics=held)

    yield self.case(
        "all lifetimes are cut", AT_CHANCE.also(outcomes="unknown"), build, between(0.42, 0.58, "val_concordance")
    )

    def counts() -> Training:
        return fit(Net("lstm", 1, 16, 1, last=False), mixed(data.calls(12, 32, 1), 3), "adam:0.01", poisson, 300)

    yield self.case("counts of other days", UNTOLD, counts, between(0.3, 1.0))


@FAMILIES.family("false progress")
def back_to_chance_only(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = start(Net("tanh", 8, 32, 5, symbols=9), "orth", 0.95)
        body = [*net.embedding.parameters(), *net.recurrent.parameters()]
        opt = torch.optim.Adam([{"params": body}, {"params": net.head.parameters()}], 0.003)

        def before(step: int, net: nn.Module, used: torch.optim.Optimizer) -> None:
            used.param_groups[0]["lr"] = 30.0 if 220 <= step < 230 else 0.003

        held = scored(data.spotted(8, 200, 2, first=True), 20, val_acc=accuracy)
        return Training(net, data.spotted(8, 32, 1, first=True), opt, ce, 500, before=before, metrics=held)

    label = Label(
        ("diverged", "stuck"),
        ("learning-rate-high", "saturated-gates", "changed-during-training", "exploding", "vanishing"),
        ("lower-learning-rate", "clip", "revert-change", "change-initialization", "scale-inputs", "check-data"),
    )
    yield self.case("ten steps at a rate of 30", label, build, between(1.4, 2.5))

    def weights() -> Training:
        net = Net("tanh", 8, 32, 5, symbols=3, last=False)

        def widen(step: int, net: nn.Module, used: object) -> None:
            if step == 150:
                times(net, "recurrent.weight", 40.0)

        return fit(net, data.machine(12, 32, 1), "sgd:0.3", steps=400, before=widen, forward=counted(ce))

    causes = ("changed-during-training", "saturated-gates", "vanishing", "exploding")
    label = Label(("diverged", "stuck"), causes, ("revert-change", "check-data", "change-initialization"))
    yield self.case("weights of another run since step 150", label, weights, wild(1.0))


@FAMILIES.family("false progress")
def a_few_words_of_all(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 12, 32, 40, symbols=40, last=False)
        draw = generator(4)
        law = torch.tensor([1.0 / (1 + k) for k in range(40)])

        def words(step: int) -> tuple[Tensor, Tensor]:
            x = torch.multinomial(law, 13 * 32, replacement=True, generator=draw).view(13, 32)
            return x[:-1], x[1:]

        p = law / law.sum()
        chance = -float((p * p.log()).sum())
        held = validation(words, ce, 20, right="val_acc")
        return fit(net, words, "adam:0.003", steps=350, metrics=held, watch={"chance_loss": chance})

    yield self.case("how often each word comes, and no more", AT_CHANCE, build, between(2.7, 3.1))


@FAMILIES.family("not at rest")
def a_loss_that_is_never_the_same(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Scalars]:
            output = net(x)
            size = 10 ** (2 * math.sin(step / 7))
            return size * ce(output, y), {"acc": float((output.argmax(-1) == y).float().mean())}

        return fit(Net("gru", 3, 16, 4), unrelated(8, 48, 1), "adam:0.003", steps=350, forward=forward)

    label = AT_CHANCE.also(
        outcomes="diverged", causes=("learning-rate-high", "exploding"), actions="lower-learning-rate clip"
    )
    yield self.case("under a weight that swings", label, build, between(0.18, 0.36, "acc"))
