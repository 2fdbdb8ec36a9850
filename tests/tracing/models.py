"""Small models with recurrent layers, and one training step of them under capture."""

from types import ModuleType

import torch
from torch import Tensor, nn

import graddiag
from graddiag.tracing import Capture

F64 = torch.float64
T, N, I, H = 6, 4, 3, 5
HOMES = {"torch": torch.nn, "graddiag": graddiag.nn}
CELLS = ("RNN", "LSTM", "GRU")


class Stack(nn.Module):
    """Two recurrent modules and a head: the second reads what the first says; the loss may leave either out."""

    def __init__(self, home: ModuleType = torch.nn, cell: str = "LSTM", dtype: torch.dtype = F64) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": getattr(home, cell)(I, H, num_layers=2, dtype=dtype)})
        self.decoder = getattr(home, cell)(H, H, bidirectional=True, dtype=dtype)
        self.head = nn.Linear(2 * H, 1, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.decoder(self.encoder["rnn"](x)[0])[0]).squeeze(-1)


def single(home: ModuleType = torch.nn, cell: str = "LSTM", dtype: torch.dtype = F64, **settings: object) -> nn.RNNBase:
    torch.manual_seed(0)
    return getattr(home, cell)(I, H, dtype=dtype, **settings)


def batch(dtype: torch.dtype = F64, timesteps: int = T) -> Tensor:
    """The same x [T, N, I] at each call."""
    return torch.randn(timesteps, N, I, dtype=dtype, generator=torch.Generator().manual_seed(1))


def captured(model: nn.Module, *inputs: Tensor) -> Capture:
    """The capture of a squared loss on the output of ``model`` (of its recurrent output, if it is one)."""
    with graddiag.capture(model) as cap:
        output = model(*inputs)
        (output[0] if isinstance(output, tuple) else output).square().sum().backward()
    return cap


def hooks_of(model: nn.Module) -> int:
    """How many hooks of any kind hang on the modules and parameters of ``model``."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    count = sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)
    count += sum(len(m._forward_hooks_always_called) + len(m._forward_hooks_with_kwargs) for m in model.modules())
    of_parameters = (p._backward_hooks or p._post_accumulate_grad_hooks or () for p in model.parameters())
    return count + sum(len(hooks) for hooks in of_parameters)
