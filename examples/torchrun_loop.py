"""DistributedDataParallel on several processes, recorded as one run: ``torchrun --nproc_per_node 2 torchrun_loop.py``.

Each process trains on separate sequences; after the all-reduce all have the same gradient. Rank 0 writes the run, and
the others write theirs below it, in ``ranks``.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import graddiag

T, N, I, H, STEPS = 8, 16, 2, 16, 200


class Adder(nn.Module):
    """Adds the two numbers that are marked in a sequence (Hochreiter & Schmidhuber 1997)."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(I, H), nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][-1]).squeeze(-1)


def sequences(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    numbers, marks = torch.rand(T, N, generator=generator), torch.zeros(T, N)
    for half in (slice(0, T // 2), slice(T // 2, T)):
        at = torch.randint(half.start, half.stop, (N,), generator=generator)
        marks[at, torch.arange(N)] = 1.0
    return torch.stack((numbers, marks), dim=-1), (numbers * marks).sum(0)


def main() -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)  # the same weights in each process
    model = DistributedDataParallel(Adder())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(dist.get_rank())  # other sequences in each
    with graddiag.watch(
        model, optimizer, run="adding-ddp", every=5, config={"ranks": dist.get_world_size()}
    ) as recorder:
        for _ in range(STEPS):
            x, y = sequences(generator)
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            recorder.log(loss=loss)
            optimizer.step()
    if dist.get_rank() == 0:
        print(graddiag.diagnose(graddiag.load_run(recorder.path)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
