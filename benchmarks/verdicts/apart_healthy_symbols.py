"""The apart part: short trainings on symbols, and of agents, that learn, some of which look as if they did not."""

import math
from collections.abc import Iterator

from torch import Tensor, nn

from benchmarks.verdicts import field_data as data
from benchmarks.verdicts.case import Case, Expected, Families, Family
from benchmarks.verdicts.field_nets import (
    Seq2Seq,
    counted,
    ctc,
    pairwise,
    reinforce,
    translating,
    under,
    validation,
)
from benchmarks.verdicts.labels import HEALTHY, NOTED, UNMEASURED
from benchmarks.verdicts.nets import Net
from benchmarks.verdicts.optimizers import cosine, optimizer
from benchmarks.verdicts.tasks import ce, mse
from benchmarks.verdicts.training import Training

FAMILIES = Families("apart")


@FAMILIES.family("healthy")
def letters(self: Family) -> Iterator[Case]:
    """Language models of characters, from 3.3 nats down."""

    def momentum() -> Training:
        net = Net("lstm", 16, 48, 28, symbols=28, last=False)
        more = {"clip": "norm:1", "before": cosine(1.0, 400)}
        return Training(net, data.sentences(30, 16, 1), optimizer("momentum:1", net), steps=400, **more)

    yield self.case("momentum, cosine, clip 1", NOTED, momentum, under(1.2))

    def perplexity() -> Training:
        net = Net("gru", 16, 32, 28, symbols=28, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            loss = ce(net(x), y)
            return loss, {"perplexity": float(loss.detach().exp())}

        more = {"forward": forward, "watch": {"chance_loss": "ln 28"}}
        return Training(net, data.sentences(25, 16, 2), optimizer("rmsprop:0.003", net), steps=400, **more)

    yield self.case("RMSprop, perplexity", HEALTHY, perplexity, under(1.2))


@FAMILIES.family("healthy")
def speech(self: Family) -> Iterator[Case]:
    """CTC: first nothing but blanks, for a while, then the letters."""

    def build() -> Training:
        net = Net("gru", 4, 24, 6, last=False, bidirectional=True)
        return Training(net, data.spoken(4, 4, 32, 1), optimizer("adam:0.01", net), forward=ctc, steps=300)

    yield self.case("blanks, then letters", HEALTHY, build, under(0.5))


@FAMILIES.family("healthy")
def agent_in_a_maze(self: Family) -> Iterator[Case]:
    """REINFORCE: the loss is noise about 0, and the reward rises."""

    def one(watch: dict[str, object]) -> Training:
        net = Net("lstm", 3, 24, 2)
        more = {"forward": reinforce(), "watch": watch}
        return Training(net, data.maze(6, 64, 1), optimizer("adam:0.01", net), steps=400, **more)

    about = Expected(measure="reward", final=(0.9, 1.0))
    goal = {"goal": "reward", "better": "higher", "chance": 0.5}
    yield self.case("goal given", HEALTHY, lambda: one(goal), about)
    yield self.case("reward logged", UNMEASURED, lambda: one({}), about)


@FAMILIES.family("healthy")
def dna(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 8, 24, 2, symbols=4, bidirectional=True)
        metrics = validation(data.genes(16, 256, 2), ce, 50, right="val_acc")
        more = {"metrics": metrics, "watch": {"goal": "val_acc", "better": "higher", "chance": 0.5}}
        return Training(net, data.genes(16, 64, 1), optimizer("adam:0.01", net), steps=500, **more)

    yield self.case("a motif, val_acc", HEALTHY, build, under(0.4))


@FAMILIES.family("healthy")
def recommended(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("gru", 16, 24, 24, symbols=24, last=False)
        batch = data.clicks(12, 32, 1)
        return Training(net, batch, optimizer("adagrad:0.05", net), forward=pairwise(24), steps=400)

    yield self.case("BPR, Adagrad", HEALTHY, build, under(0.5))


@FAMILIES.family("healthy")
def music(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 16, 32, 12, symbols=12, last=False, num_layers=2, dropout=0.2)
        metrics = validation(data.melody(16, 64, 2), ce, 60)
        return Training(net, data.melody(16, 32, 1), optimizer("adam:0.01", net), steps=600, metrics=metrics)

    yield self.case("two layers, dropout", HEALTHY, build, under(1.9))


@FAMILIES.family("healthy")
def two_tasks(self: Family) -> Iterator[Case]:
    """A tagger that also names the number of places."""

    def build() -> Training:
        net = Net("gru", 16, 32, 4, symbols=20, last=False)

        def forward(net: nn.Module, x: Tensor, y: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
            output = net(x)
            tags, count = ce(output[..., :3], y), mse(output[-1, :, 3], (y == 2).float().sum(0))
            return tags + 0.3 * count, {"tag_loss": float(tags), "count_loss": float(count)}

        return Training(net, data.slots(12, 32, 1), optimizer("adam:0.005", net), forward=forward, steps=400)

    yield self.case("tags and a count", HEALTHY, build, under(0.3))


@FAMILIES.family("healthy")
def curricula(self: Family) -> Iterator[Case]:
    def longer() -> Training:
        net = Net("lstm", 12, 32, 5, symbols=4, last=False)
        parts = [data.brackets(T, 32, T) for T in (4, 8, 12, 20)]
        return Training(net, lambda step: parts[min(3, step // 120)](step), optimizer("adam:0.01", net), steps=480)

    yield self.case("longer sequences", HEALTHY, longer, under(0.35))

    def larger() -> Training:
        net = Net("gru", 2, 20, 1, last=False)
        parts = [data.load(12, N, N) for N in (2, 8, 32, 128)]
        return Training(net, lambda step: parts[min(3, step // 100)](step), optimizer("nesterov:0.05", net), mse, 400)

    yield self.case("larger batches", HEALTHY, larger, under(0.35))


@FAMILIES.family("healthy")
def fine_tuned(self: Family) -> Iterator[Case]:
    """A trained net at a small learning rate: the loss stays where it was, near the floor."""

    def one(watch: dict[str, object]) -> Training:
        net, batch = Net("gru", 16, 32, 3, symbols=20, last=False), data.slots(12, 32, 1)
        first = optimizer("adam:0.01", net)
        for step in range(250):
            x, y = batch(step)
            first.zero_grad()
            ce(net(x), y).backward()
            first.step()
        return Training(net, batch, optimizer("adam:0.0001", net), forward=counted(ce), steps=250, watch=watch)

    yield self.case("chance known", HEALTHY, lambda: one({"chance_loss": 0.54}), under(0.1))
    yield self.case("accuracy alone", UNMEASURED, lambda: one({}), under(0.1))


@FAMILIES.family("healthy")
def digits_reversed(self: Family) -> Iterator[Case]:
    """The teacher's share falls from 1 to 0.3: the task gets harder while the net gets better."""

    def build() -> Training:
        net = Seq2Seq(9, 32)
        forward = translating(lambda step: max(0.3, 1 - step / 500))
        batch = data.reversed_digits(4, 64, 1)
        return Training(net, batch, optimizer("adam:0.01", net), forward=forward, steps=600)

    yield self.case("scheduled sampling", HEALTHY, build, under(0.8))


@FAMILIES.family("healthy")
def brackets_in_micro_batches(self: Family) -> Iterator[Case]:
    def build() -> Training:
        net = Net("lstm", 12, 32, 5, symbols=4, last=False)
        batch = data.brackets(10, 4, 1)
        return Training(net, batch, optimizer("adamw:0.01", net), steps=250, accumulate=4)

    yield self.case("4 micro-batches of 4", HEALTHY, build, under(0.5))


@FAMILIES.family("healthy")
def frozen_on_purpose(self: Family) -> Iterator[Case]:
    """Embeddings from elsewhere that are kept as they are."""

    def build() -> Training:
        net = Net("lstm", 16, 32, 3, symbols=20, last=False)
        net.embedding.weight.requires_grad_(False)
        trained = [each for each in net.parameters() if each.requires_grad]
        return Training(net, data.slots(12, 16, 2), optimizer("adam:0.005", trained), steps=300)

    yield self.case("embeddings", HEALTHY, build, under(0.2))


@FAMILIES.family("healthy")
def modular_sum(self: Family) -> Iterator[Case]:
    """A plateau at chance, then a fall within few steps."""

    def build() -> Training:
        net = Net("gru", 12, 32, 3, symbols=3, last=False)
        more = {"watch": {"chance_loss": math.log(3)}}
        return Training(net, data.digits(8, 64, 3, 1), optimizer("adam:0.01", net), steps=500, **more)

    yield self.case("plateau, then a fall", HEALTHY, build, under(0.3))
