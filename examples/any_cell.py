"""Any cell whose call takes a state and gives the next one: `cells=` records it without knowing its equations.

Four cells that torch.nn does not have, each in the same loop: a leaky RNN of neuroscience, a ConvLSTM on images, a
minGRU, and the sLSTM of xLSTM with its four state tensors. `graddiag.watch(model, optimizer, cells="cell")` records the
total and the immediate gradient at every timestep and what each call sends back, so the diagnosis and every analysis
work as they do for an LSTM. Run it: python examples/any_cell.py leaky, or conv-lstm, min-gru, s-lstm
"""

import argparse

import torch
from torch import nn

import graddiag

LENGTH, BATCH, HIDDEN, STEPS = 30, 16, 16, 40
State = torch.Tensor | tuple[torch.Tensor, ...]


class LeakyRnn(nn.Module):
    """h_t = (1 - a) h_{t-1} + a tanh(W [x_t, h_{t-1}] + b): cell(x, h) -> h."""

    start = (HIDDEN,)

    def __init__(self, leak: float = 0.2) -> None:
        super().__init__()
        self.leak, self.recurrent = leak, nn.Linear(2 + HIDDEN, HIDDEN)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return (1 - self.leak) * h + self.leak * torch.tanh(self.recurrent(torch.cat((x, h), 1)))


class ConvLstm(nn.Module):
    """An LSTM whose states are images (Shi et al., 2015): cell(x, (h, c)) -> (h, c)."""

    start = ((2, 4, 4), (2, 4, 4))

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 + 2, 4 * 2, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor, hx: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        h, c = hx
        image = x[:, :, None, None].expand(-1, -1, 4, 4)
        i, f, g, o = self.gates(torch.cat((image, h), 1)).chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class MinGru(nn.Module):
    """A GRU without a way from the state to its gates (Feng et al., 2024): cell(x, h) -> (output, h)."""

    start = (HIDDEN,)

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.candidate = nn.Linear(2, HIDDEN), nn.Linear(2, HIDDEN)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = torch.sigmoid(self.gate(x))
        h = (1 - z) * h + z * self.candidate(x)
        return torch.relu(h), h


class Slstm(nn.Module):
    """The scalar LSTM with exponential gates (Beck et al., 2024): cell(x, (h, c, n, m)) -> (h, (h, c, n, m))."""

    start = ((HIDDEN,),) * 4

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(2 + HIDDEN, 4 * HIDDEN)

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        h, c, n, m = state
        i, f, z, o = self.gates(torch.cat((x, h), 1)).chunk(4, 1)
        largest = torch.maximum(f + m, i)
        i, f = torch.exp(i - largest), torch.exp(f + m - largest)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n.clamp(min=1e-6)
        return h, (h, c, n, largest)


CELLS = {"leaky": LeakyRnn, "conv-lstm": ConvLstm, "min-gru": MinGru, "s-lstm": Slstm}


class Model(nn.Module):
    """Reads a sequence with a cell, and answers from the last state."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.LazyLinear(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [T, N, 2]; the result is [N, 1]."""
        state: State = zeros(self.cell.start, x.shape[1])
        for x_t in x:
            result = self.cell(x_t, state)
            state = result[1] if isinstance(self.cell, MinGru | Slstm) else result
        h = state[0] if isinstance(state, tuple) else state
        return self.head(h.flatten(1))


def zeros(shape: tuple, batch: int) -> State:
    """The first state of a shape, or of several."""
    if isinstance(shape[0], tuple):
        return tuple(torch.zeros(batch, *each) for each in shape)
    return torch.zeros(batch, *shape)


def main(name: str) -> None:
    torch.manual_seed(0)
    model = Model(CELLS[name]())
    model(torch.randn(LENGTH, BATCH, 2))  # sizes the head
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run=name, root="runs", every=10, cells="cell") as recorder:
        for _ in range(STEPS):
            x = torch.randn(LENGTH, BATCH, 2)
            loss = nn.functional.mse_loss(model(x), x[0, :, :1])  # the first number of the sequence
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()

    run = graddiag.load_run(recorder.path)
    rows = run.timesteps[run.timesteps.step == 0].set_index("timestep")
    share = rows.grad_h[0] / rows.grad_h[LENGTH - 1]
    print(f"{name}: {share:.1e} of the gradient at the last timestep reaches the first")
    print(f"gradient gain per timestep, median: {rows.transport_gain.median():.3f}\n")
    print(graddiag.diagnose(run))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", choices=CELLS, nargs="?", default="leaky")
    main(parser.parse_args().cell)
