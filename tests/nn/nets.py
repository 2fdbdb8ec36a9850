"""Recurrent modules of every setting, inputs that fit them, and everything one step of training makes of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

T, N, I, H, P = 6, 5, 3, 4, 2
LENGTHS = {"sorted": [6, 4, 4, 2, 1], "unsorted": [3, 6, 1, 6, 2]}
KINDS = ("rnn_tanh", "rnn_relu", "lstm", "lstm_proj", "gru")
LAYOUTS = ("dense", "unbatched", *LENGTHS)
DEPTHS = ((1, 0.0), (2, 0.0), (3, 0.4))
# torch says it once a process, in whichever test comes first
projection_warning = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@dataclass(frozen=True)
class Net:
    """One setting: a kind of KINDS, the arguments of torch.nn's constructor, and how the input is laid out."""

    kind: str
    dtype: torch.dtype = torch.float64
    depth: tuple[int, float] = (1, 0.0)  # layers, dropout between them
    bidirectional: bool = False
    batch_first: bool = False
    bias: bool = True
    layout: str = "dense"
    given: bool = False  # initial states that need gradients

    def build(self, home: ModuleType) -> torch.nn.RNNBase:
        """The module from ``home`` (torch.nn or graddiag.nn), the same parameters from each."""
        torch.manual_seed(0)
        family, _, extra = self.kind.partition("_")
        own: dict[str, Any] = {"proj_size": P} if extra == "proj" else {"nonlinearity": extra} if extra else {}
        layers, dropout = self.depth
        settings = {"num_layers": layers, "dropout": dropout, "bidirectional": self.bidirectional}
        settings |= {"batch_first": self.batch_first, "bias": self.bias, "dtype": self.dtype}
        return getattr(home, family.upper())(I, H, **settings, **own)

    def inputs(self) -> tuple[list[Tensor], Any]:
        """The leaves (x, and the initial states if given) and the arguments of ``forward`` made from them."""
        generator = torch.Generator().manual_seed(1)

        def leaf(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=self.dtype, generator=generator).requires_grad_()

        batch = () if self.layout == "unbatched" else (N,)
        count = self.depth[0] * (2 if self.bidirectional else 1)
        x = leaf(*((N, T, I) if self.batch_first and batch else (T, *batch, I)))
        if not self.given:
            return [x], (self._laid_out(x),)
        h0 = leaf(count, *batch, P if self.kind == "lstm_proj" else H)
        if not self.kind.startswith("lstm"):
            return [x, h0], (self._laid_out(x), h0)
        c0 = leaf(count, *batch, H)
        return [x, h0, c0], (self._laid_out(x), (h0, c0))

    def _laid_out(self, x: Tensor) -> Any:
        if self.layout not in LENGTHS:
            return x
        lengths = LENGTHS[self.layout]
        return pack_padded_sequence(x, lengths, batch_first=self.batch_first, enforce_sorted=self.layout == "sorted")


def products() -> Iterator[Net]:
    """Every combination of every setting."""
    switches = [(False, True)] * 3
    for values in product(KINDS, (torch.float64, torch.float32), DEPTHS, *switches, LAYOUTS, (False, True)):
        yield Net(*values)


def thinned(stride: int = 11) -> list[Net]:
    """One combination in ``stride``, a prime that divides the size of no axis, so that any two values still meet."""
    return list(islice(products(), 0, None, stride))


def name(net: Net) -> str:
    """A test's id."""
    flags = [flag for flag in ("bidirectional", "batch_first", "given") if getattr(net, flag)]
    dtype = str(net.dtype).removeprefix("torch.")
    return "-".join([net.kind, dtype, f"{net.depth[0]}layers", net.layout, *flags, *([] if net.bias else ["nobias"])])


def states_of(module: torch.nn.RNNBase, state: Any) -> tuple[Tensor, ...]:
    """(h_n, c_n) of an LSTM, (h_n,) of the others."""
    return tuple(state) if isinstance(module, torch.nn.LSTM) else (state,)


def weighted_sum(tensors: list[Tensor]) -> Tensor:
    """A loss in which every entry of every tensor has a weight of its own, the same at each call."""
    generator = torch.Generator().manual_seed(2)
    return sum(
        (tensor * torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)).sum() for tensor in tensors
    )


def one_step(net: Net, module: torch.nn.RNNBase) -> dict[str, Tensor]:
    """All that forward and backward leave behind: outputs, final states, every gradient, the generator's state."""
    module.zero_grad()
    leaves, args = net.inputs()
    torch.manual_seed(3)
    output, state = module(*args)
    packed = net.layout in LENGTHS
    found = {"output": output.data if packed else output}
    found |= {f"final {index}": final for index, final in enumerate(states_of(module, state))}
    generator = torch.get_rng_state()
    weighted_sum(list(found.values())).backward()
    found |= {f"gradient of leaf {index}": leaf.grad for index, leaf in enumerate(leaves)}
    found |= {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
    detached = {key: tensor.detach().clone() for key, tensor in found.items()}
    return detached | {"generator": generator}
