"""A custom recurrence that graddiag does not know: one call of `tap` in the loop records its gradients.

The cell is a minGRU (Feng et al., 2024): h_t = (1 - z_t) h_{t-1} + z_t c_t, with z and c of the input alone. Since
nothing else leads from h_t back to h_{t-1}, the gradient is multiplied by 1 - z_t at every timestep: with z half
open it is gone after a few; with a bias that nearly closes z, it is kept. `tap` returns the same tensor, and records
the total dL/dh_t through every path. Run it: python examples/custom_cell.py
"""

import torch
from torch import nn

import graddiag

LENGTH, BATCH, HIDDEN, STEPS = 40, 32, 24, 40


class MinGru(nn.Module):
    def __init__(self, gate_bias: float) -> None:
        super().__init__()
        self.gate, self.candidate = nn.Linear(2, HIDDEN), nn.Linear(2, HIDDEN)
        self.head = nn.Linear(HIDDEN, 1)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x: torch.Tensor, recorder: graddiag.Recorder) -> torch.Tensor:
        """x [T, N, 2]; the result is [N, 1]."""
        h = x.new_zeros(x.shape[1], HIDDEN)
        for x_t in x:
            z = torch.sigmoid(self.gate(x_t))
            h = (1 - z) * h + z * self.candidate(x_t)
            h = recorder.tap("cell", h)
        return self.head(h)


def train(name: str, gate_bias: float) -> graddiag.Run:
    """Learns the first number of a sequence."""
    model = MinGru(gate_bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with graddiag.watch(model, optimizer, run=name, root="runs", experiment="mingru", arm=name, every=10) as recorder:
        for _ in range(STEPS):
            x = torch.randn(LENGTH, BATCH, 2)
            loss = nn.functional.mse_loss(model(x, recorder), x[0, :, :1])
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.load_run(recorder.path)


def main() -> None:
    torch.manual_seed(0)
    for name, gate_bias in (("half open", 0.0), ("nearly closed", -4.0)):
        run = train(name, gate_bias)
        norms = run.timesteps[run.timesteps.step == 0].set_index("timestep").grad_h
        share = norms[0] / norms[LENGTH - 1]
        print(f"gate {name}: {share:.1e} of the gradient at the last timestep reaches the first")


if __name__ == "__main__":
    main()
