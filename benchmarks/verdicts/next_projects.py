"""The next part: short trainings that learn, as in projects: CTC, sequence to sequence, codes, agents, precision."""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from benchmarks.verdicts import agents
from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Families, Family
from benchmarks.verdicts.coming_nets import Codec, between, fit, learned, policy, scaled
from benchmarks.verdicts.everyday_nets import accuracy, averaged, scored
from benchmarks.verdicts.field_nets import VAE, Seq2Seq, counted, ctc, elbo, reinforce, translating, validation
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net, times
from benchmarks.verdicts.sequences import repeated
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("next")


@FAMILIES.family("healthy")
def letters_from_frames(self: Family) -> Iterator[Case]:
    def both() -> Training:
        net = Net("lstm", 4, 24, 5, last=False, bidirectional=True)
        return fit(net, data.speech(3, 32, 1), "adam:0.01", steps=350, forward=ctc)

    yield self.case("CTC, two directions", UNMEASURED, both, between(0, 0.3))


@FAMILIES.family("healthy")
def sorted_symbols(self: Family) -> Iterator[Case]:
    def build(**more: object) -> Training:
        return fit(Seq2Seq(7, 48), data.sorting(6, 64, 1), "adam:0.005", steps=400, forward=translating(), **more)

    yield self.case("teacher forcing", HEALTHY, build, between(0.85, 1, "token_acc"))


@FAMILIES.family("healthy")
def codes_of_tides(self: Family) -> Iterator[Case]:
    def plain() -> Training:
        held = validation(data.tides(16, 100, 2), mse, 20)
        return fit(Codec(nn.GRU, 1, 32, 4), data.tides(16, 32, 1), "adam:0.005", mse, 400, metrics=held)

    yield self.case("a code of four numbers", HEALTHY, plain, between(0, 0.35))

    def variational() -> Training:
        forward = elbo(lambda step: min(0.5, step / 400))
        return fit(VAE(1, 32, 3), data.tides(12, 32, 1), "adam:0.005", steps=400, forward=forward)

    yield self.case("VAE, the weight of the KL rises", UNMEASURED, variational, between(0, 15))


@FAMILIES.family("healthy")
def rewarded_for_names(self: Family) -> Iterator[Case]:
    def steps() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.machine(8, 64, 1), "adam:0.01", steps=500, forward=policy(entropy=0.005))

    yield self.case("REINFORCE at each timestep", HEALTHY, steps, between(0.6, 1, "reward"))

    def surrogate() -> Training:
        net = Net("lstm", 8, 24, 3, symbols=9)
        batch = repeated(data.spotted(6, 64, 1, words=3), 4)
        return fit(net, batch, "adam:0.005", steps=600, forward=agents.surrogate())

    yield self.case("a clipped surrogate", HEALTHY, surrogate, between(0.7, 1, "reward"))

    def critic() -> Training:
        net = Net("gru", 8, 24, 6, symbols=9)
        return fit(net, data.spotted(8, 64, 1), "rmsprop:0.003", steps=500, forward=agents.actor_critic(0.02))

    yield self.case("actor and critic", HEALTHY, critic, between(0.6, 1, "reward"))

    def values() -> Training:
        net = Net("gru", 8, 24, 4, symbols=4, last=False)
        forward = agents.q_learning(copy.deepcopy(net), 4)
        return fit(net, data.stream(1, 12, 32, 1), "adam:0.005", steps=500, forward=forward)

    yield self.case("Q-learning", HEALTHY, values, between(0.6, 1, "reward"))


@FAMILIES.family("healthy")
def precision_and_accumulation(self: Family) -> Iterator[Case]:
    def half() -> Training:
        net = Net("gru", 2, 24, 4)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=150)
        return fit(
            net, data.gestures(10, 32, 1), "adam:0.01", scaler=scaler, clip="norm:1", watch={"chance_loss": "ln 4"}
        )

    yield self.case("a scaler, clipped after unscaling", HEALTHY, half, between(0, 0.4))

    def four() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.machine(10, 8, 1), "adam:0.01", steps=300, accumulate=4, forward=counted(ce))

    yield self.case("four batches an update", HEALTHY, four, between(0, 0.4))

    def smooth() -> Training:
        net = Net("gru", 8, 24, 5, symbols=9)
        held = scored(data.spotted(10, 200, 2), 20, val_acc=accuracy)
        return fit(net, data.spotted(10, 16, 1), "adam:0.01", logged=averaged(0.95), metrics=held)

    yield self.case("a running mean of the loss is logged", HEALTHY, smooth, between(0.85, 1, "val_acc"))


@FAMILIES.family("healthy")
def losses_of_other_sizes(self: Family) -> Iterator[Case]:
    def summed() -> Training:
        net, factor = Net("gru", 8, 24, 5, symbols=3, last=False), 32.0 * 12
        return fit(net, data.machine(12, 32, 1), "adam:0.01", scaled(ce, factor), 300, watch={"loss_reduction": "sum"})

    yield self.case("summed over batch and time", UNMEASURED, summed, between(0, 130))

    def tiny() -> Training:
        net = Net("lstm", 3, 24, 1, last=False)
        return fit(net, data.load(16, 32, 1), "adam:0.01", scaled(mse, 1e-4), 300)

    yield self.case("a squared error in units of 10,000", UNMEASURED, tiny, between(3e-6, 7e-6))

    def clipped() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=3, last=False)
        return fit(net, data.machine(12, 32, 1), "adam:0.01", scaled(ce, 100.0), 300, clip="norm:0.01", forward=None)

    yield self.case(
        "clipped at each of the first steps, under Adam", NOTED.also(outcomes="unknown"), clipped, between(0, 40)
    )


@FAMILIES.family("healthy")
def pretrained(self: Family) -> Iterator[Case]:
    def fine_tuned() -> Training:
        net = learned(Net("gru", 8, 24, 5, symbols=9), data.spotted(8, 32, 3), 150)
        held = scored(data.spotted(14, 200, 2), 20, val_acc=accuracy)
        return fit(net, data.spotted(14, 32, 1), "adamw:0.001", steps=250, metrics=held)

    yield self.case("on longer sequences", HEALTHY, fine_tuned, between(0.95, 1, "val_acc"))

    def new_head() -> Training:
        net = learned(Net("lstm", 8, 32, 5, symbols=3, last=False), data.machine(12, 32, 3), 200)
        net.embedding.requires_grad_(False)
        times(net, "head", 0.1)
        opt = torch.optim.Adam(
            [{"params": net.head.parameters()}, {"params": net.recurrent.parameters(), "lr": 3e-4}], 0.01
        )
        return Training(net, data.machine(12, 32, 1), opt, ce, 250, forward=counted(ce, "train_acc"))

    yield self.case("a new head, embeddings frozen", HEALTHY, new_head, between(0, 0.1))


@FAMILIES.family("healthy")
def one_choice_at_the_end(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 2, 24, 4)
        return fit(net, data.gestures(8, 128, 1), "adam:0.01", steps=500, forward=reinforce())

    yield self.case("REINFORCE with a baseline", HEALTHY, build, between(0.6, 1, "reward"))
