"""A decoder that calls a fused layer once per timestep, and is recorded as the one sequence that it is.

A decoder feeds its own last word back in, so its LSTM runs a timestep at a time, and each call looks like a sequence of
length 1. graddiag sees that a call starts from the state that the previous call returned, and joins them: the run has
the gradient at every timestep of the decoder, on its way back into the encoder.
Run it: python examples/decoder_loop.py
"""

import torch
from torch import nn

import graddiag

SYMBOLS, LENGTH, BATCH, STEPS, HIDDEN = 8, 12, 32, 60, 48


class Copier(nn.Module):
    """Reads a sequence and repeats it from its last state alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS + 1, HIDDEN)  # and one symbol to begin with
        self.encoder = nn.LSTM(HIDDEN, HIDDEN)
        self.decoder = nn.LSTM(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, SYMBOLS)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """symbols [T, N]; the mean cross-entropy over timesteps and batch."""
        _, state = self.encoder(self.embedding(symbols))
        said = torch.full_like(symbols[:1], SYMBOLS)
        losses = []
        for wanted in symbols:
            output, state = self.decoder(self.embedding(said), state)
            logits = self.head(output[0])
            losses.append(nn.functional.cross_entropy(logits, wanted))
            said = logits.argmax(-1, keepdim=True).T  # its own word, right or wrong
        return torch.stack(losses).mean()


def main() -> None:
    torch.manual_seed(0)
    model = Copier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    with graddiag.watch(model, optimizer, run="copier", root="runs", every=5, loss_reduction="mean") as recorder:
        for _ in range(STEPS):
            loss = model(torch.randint(SYMBOLS, (LENGTH, BATCH)))
            optimizer.zero_grad()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()

    run = graddiag.load_run(recorder.path)
    print(f"loss {run.steps.loss.iloc[0]:.3f} at first, {run.steps.loss.iloc[-1]:.3f} at last")
    last = run.timesteps[run.timesteps.step == run.timesteps.step.max()]
    for module in ("decoder", "encoder"):
        sequence = last[last.module == module]
        print(f"\n{module}: ||dL/dh_t|| at step {last.step.max()}, from the last timestep back to the first")
        print("  ".join(f"{norm:.1e}" for norm in sequence.grad_h[::-1]))


if __name__ == "__main__":
    main()
