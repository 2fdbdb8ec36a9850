"""A plain training loop, unchanged but for one `with`: why does this RNN not learn?

The task is to name at the end of a sequence the symbol it began with. Nothing but the gradient that comes all the way
back to the first timestep can teach that, and in a plain tanh RNN it vanishes. An LSTM whose forget gate starts
open lets it through. Run it: python examples/plain_loop.py
"""

import torch
from torch import nn

import graddiag

SYMBOLS, LENGTH, BATCH, STEPS = 4, 50, 32, 150


class Recall(nn.Module):
    """Reads a sequence of symbols and says which one was the first."""

    def __init__(self, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(recurrent.hidden_size, SYMBOLS)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """symbols [T, N]; logits [N, SYMBOLS]."""
        output, _ = self.recurrent(nn.functional.one_hot(symbols, SYMBOLS).float())
        return self.head(output[-1])


def open_forget_gate(lstm: nn.LSTM, bias: float = 4.0) -> nn.LSTM:
    """Torch has two bias vectors, which are added: this sets the sum of both for the forget gate, rows H to 2H."""
    with torch.no_grad():
        lstm.bias_ih_l0[lstm.hidden_size : 2 * lstm.hidden_size] = bias
        lstm.bias_hh_l0[lstm.hidden_size : 2 * lstm.hidden_size] = 0.0
    return lstm


def train(name: str, recurrent: nn.RNNBase) -> graddiag.Run:
    model = Recall(recurrent)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    settings = {"experiment": "recall", "arm": name, "clip": "norm:1.0", "loss_reduction": "mean over the batch"}

    with graddiag.watch(model, optimizer, run=name, root="runs", every=10, **settings) as recorder:
        for _ in range(STEPS):
            symbols = torch.randint(SYMBOLS, (LENGTH, BATCH))
            loss = nn.functional.cross_entropy(model(symbols), symbols[0])

            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            recorder.log(loss=loss)
            optimizer.step()

    return graddiag.load_run(recorder.path)


def main() -> None:
    torch.manual_seed(0)
    runs = [train("tanh", nn.RNN(SYMBOLS, 32)), train("lstm", open_forget_gate(nn.LSTM(SYMBOLS, 32)))]
    for run in runs:
        # dL/dh_t at the first timestep against the last, at each recorded step: how much of the gradient is left
        norms = run.timesteps.pivot(index="step", columns="timestep", values="grad_h")
        print(f"\n== {run.name}: final loss {run.steps.loss.iloc[-1]:.3f} (chance is 1.386)")
        print(f"first / last timestep at step 0: {norms[0].iloc[0] / norms[LENGTH - 1].iloc[0]:.1e}")
        print(graddiag.diagnose(run))
    print("\nNext: graddiag dashboard --root runs")


if __name__ == "__main__":
    main()
