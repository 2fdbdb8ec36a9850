"""The next part: long trainings that learn to the end; judged at 10, 50 and 100% of the steps."""

from collections.abc import Iterator

from torch import Tensor

from benchmarks.verdicts import agents
from benchmarks.verdicts import coming_data as data
from benchmarks.verdicts.case import Case, Families, Family, Label
from benchmarks.verdicts.coming_nets import between, carrying, learned, long, policy, thirds
from benchmarks.verdicts.common_data import mapped, mislabelled
from benchmarks.verdicts.everyday_nets import accuracy, r2, scored
from benchmarks.verdicts.field_nets import VAE, counted, ctc, elbo, validation
from benchmarks.verdicts.labels import FIND, FINE, HEALTHY, UNMEASURED
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import cosine, restarts
from benchmarks.verdicts.sequences import by_step, repeated
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("next")


@FAMILIES.family("long")
def verses_under_a_cosine(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 32, 8, symbols=8, last=False)
        held = validation(data.verses(10, 64, 2), ce, 50, right="val_acc")
        before = cosine(0.003, 4000, 100)
        return long(net, data.verses(10, 16, 1), "adamw:0.003", steps=4000, before=before, metrics=held)

    told = (HEALTHY, between(0.6, 1.9)), (HEALTHY, between(0.6, 1.2)), (HEALTHY, between(0.6, 1.1))
    yield from thirds(self, "AdamW", build, *told)


@FAMILIES.family("long")
def machine_under_restarts(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 8, 24, 5, symbols=3, last=False)
        batch = mislabelled(data.machine(8, 16, 1), 0.2, 5, 3)
        return long(net, batch, "momentum:0.5", before=restarts(0.5, 600), forward=counted(ce))

    told = (HEALTHY, between(0.3, 1.5)), (HEALTHY, between(0.4, 0.9)), (HEALTHY, between(0.4, 0.9))
    yield from thirds(self, "momentum, a fifth of the labels drawn at random", build, *told)


@FAMILIES.family("long")
def spikes_that_pass(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def outlier(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x, 30 * y if step in (1150, 1400, 2500) else y

        net = Net("gru", 1, 24, 1, last=False)
        batch = mapped(data.pendulum(12, 16, 1), outlier)
        held = scored(data.pendulum(12, 100, 2), 50, val_r2=r2)
        return long(net, batch, "adam:0.003", mse, clip="norm:5", metrics=held)

    passed = HEALTHY.also(actions="check-batch check-data")
    told = [(HEALTHY, between(0.3, 1, "val_r2")), *[(passed, between(0.9, 1, "val_r2"))] * 2]
    yield from thirds(self, "three bad batches", build, *told)


@FAMILIES.family("long")
def after_a_long_plateau(self: Family) -> Iterator[Case]:
    def build() -> Training:
        held = scored(data.spotted(12, 200, 2), 50, val_acc=accuracy)
        return long(Net("gru", 8, 24, 5, symbols=9), data.spotted(12, 16, 1), "sgd:0.03", steps=4000, metrics=held)

    causes = (None, "learning-rate-low", "vanishing")
    flat = Label(("stuck", "learning", "unknown"), causes, (*FIND, *FINE, "raise-learning-rate"), failed=False)
    told = (
        (flat, between(0.1, 0.5, "val_acc")),
        (HEALTHY, between(0.6, 1, "val_acc")),
        (HEALTHY, between(0.9, 1, "val_acc")),
    )
    yield from thirds(self, "SGD at 0.03", build, *told)


@FAMILIES.family("long")
def longer_and_longer(self: Family) -> Iterator[Case]:
    def build() -> Training:
        parts = [data.machine(T, 16, T) for T in (3, 6, 9, 14)]
        net = Net("tanh", 8, 24, 5, symbols=3, last=False)
        held = scored(data.machine(14, 100, 2), 50, val_acc=accuracy)
        batch = by_step(lambda step: parts[min(3, step // 700)])
        return long(net, batch, "adam:0.001", metrics=held)

    told = [(HEALTHY, between(low, 1, "val_acc")) for low in (0.3, 0.7, 0.9)]
    yield from thirds(self, "a curriculum", build, *told)


@FAMILIES.family("long")
def a_policy_that_improves(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 5, symbols=3, last=False)
        return long(net, data.machine(6, 16, 1), "adam:0.001", steps=3500, forward=policy(entropy=0.02))

    told = [(HEALTHY, between(low, 1, "reward")) for low in (0.25, 0.6, 0.75)]
    yield from thirds(self, "REINFORCE with a bonus for entropy", build, *told)

    def surrogate() -> Training:
        net = Net("lstm", 8, 24, 4, symbols=9)
        batch = repeated(data.spotted(6, 32, 1, words=4), 4)
        return long(net, batch, "adam:0.003", steps=3000, forward=agents.surrogate())

    told = [(HEALTHY, between(0.6, 1, "reward"))] * 3
    yield from thirds(self, "a clipped surrogate", surrogate, *told)


@FAMILIES.family("long")
def letters_of_speech(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 4, 16, 5, last=False)
        return long(net, data.speech(3, 16, 1, noise=0.5), "adam:0.002", forward=ctc, clip="norm:5")

    told = [(UNMEASURED, between(0, high)) for high in (2.2, 0.6, 0.4)]
    yield from thirds(self, "CTC", build, *told)


@FAMILIES.family("long")
def fine_tuned_with_care(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = learned(Net("gru", 8, 24, 5, symbols=3, last=False), data.machine(6, 32, 3), 150)
        swapped = mapped(data.machine(10, 16, 1), lambda x, y, step: (2 - x, y))
        held = scored(mapped(data.machine(10, 100, 2), lambda x, y, step: (2 - x, y)), 50, val_acc=accuracy)
        return long(net, swapped, "adamw:0.0003", metrics=held)

    told = [(HEALTHY, between(low, 1, "val_acc")) for low in (0.3, 0.7, 0.9)]
    yield from thirds(self, "to other names of the symbols", build, *told)


@FAMILIES.family("long")
def a_shift_that_is_learned_again(self: Family) -> Iterator[Case]:
    def build() -> Training:
        def renamed(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return x, (y + 2) % 5 if step >= 1000 else y

        batch = mapped(data.machine(8, 16, 1), renamed)
        return long(Net("gru", 8, 24, 5, symbols=3, last=False), batch, "adam:0.003", forward=counted(ce))

    after = HEALTHY.also(causes=("changed-during-training",), actions="check-data revert-change")
    told = (HEALTHY, between(0, 1)), (after, between(0, 0.3)), (after, between(0, 0.1))
    yield from thirds(self, "classes are renamed at step 1000", build, *told)


@FAMILIES.family("long")
def one_sequence_a_batch(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 3, 16, 1, last=False)
        held = scored(data.load(12, 200, 2, noise=0.4), 50, val_r2=r2)
        return long(net, data.load(12, 1, 1, noise=0.4), "rmsprop:0.002", mse, 4000, metrics=held)

    told = [(HEALTHY, between(low, 1, "val_r2")) for low in (0.2, 0.5, 0.6)]
    yield from thirds(self, "RMSprop", build, *told)


@FAMILIES.family("long")
def tides_in_a_latent_code(self: Family) -> Iterator[Case]:
    def build() -> Training:
        forward = elbo(lambda step: min(1.0, step / 1500))
        return long(VAE(1, 20, 2), data.tides(10, 16, 1), "adam:0.002", forward=forward)

    told = [(UNMEASURED, between(0, high)) for high in (18, 9, 8)]
    yield from thirds(self, "VAE, the weight of the KL rises for 1500 steps", build, *told)


@FAMILIES.family("long")
def windows_of_a_stream(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 32, 4, symbols=4, last=False)
        return long(net, data.stream(4, 8, 16, 1), "adam:0.001", forward=carrying(), clip="norm:1")

    told = [(HEALTHY, between(low, 1, "acc")) for low in (0.28, 0.7, 0.9)]
    yield from thirds(self, "four timesteps back, eight a window", build, *told)
