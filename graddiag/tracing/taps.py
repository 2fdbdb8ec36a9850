"""The exact total gradient of any tensor of a loop that the user writes, timestep by timestep."""

from collections.abc import Callable

import torch
from torch import Tensor

from graddiag import schema
from graddiag.schema import TraceKey
from graddiag.tracing.norms import norm
from graddiag.tracing.signals import Signals


class Taps:
    """Tensors tapped during one step, by name, in the order in which they came: timestep 0 first."""

    def __init__(self) -> None:
        self._active = False
        self._tapped: dict[str, list[_Tap]] = {}

    def start(self) -> None:
        """From here on tensors are tapped; what was tapped before is forgotten."""
        self._active, self._tapped = True, {}

    def stop(self) -> None:
        self._active = False

    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Notes ``tensor`` [N, ...] as the next timestep of ``name`` and returns it, unchanged."""
        if self._active and tensor.requires_grad and torch.is_grad_enabled():
            self._tapped.setdefault(name, []).append(_Tap(tensor))
        return tensor

    def take(self) -> list[Signals]:
        """Signals of each name that a gradient reached; timesteps that none reached are missing."""
        tapped, self._tapped = self._tapped, {}
        return [_signals(name, taps) for name, taps in tapped.items() if any(tap.grad is not None for tap in taps)]


class _Tap:
    """One tensor: its size, and the gradient that arrives at it in total."""

    def __init__(self, tensor: Tensor) -> None:
        rows = _rows(tensor.detach())
        self.rms = norm(norm(rows)) / max(rows.numel(), 1) ** 0.5
        self.grad: Tensor | None = None
        if tensor.grad_fn is None:
            tensor.register_hook(self._add)
        else:
            # at the node that made it, where the user's own hooks have been applied
            tensor.grad_fn.register_prehook(self._at_node(tensor.output_nr))

    def _at_node(self, output_nr: int) -> Callable[[tuple[Tensor | None, ...]], None]:
        def arrived(grads: tuple[Tensor | None, ...]) -> None:
            grad = grads[output_nr]
            if grad is not None:
                self._add(grad)

        return arrived

    def _add(self, grad: Tensor) -> None:
        rows = _rows(grad.detach())
        self.grad = rows if self.grad is None else self.grad + rows


def _signals(name: str, taps: list[_Tap]) -> Signals:
    missing = torch.tensor([tap.grad is None for tap in taps])
    by_sample = [torch.zeros_like(taps[0].rms).view(1) if tap.grad is None else norm(tap.grad) for tap in taps]
    columns = {
        schema.H_RMS: torch.stack([tap.rms for tap in taps]),
        schema.GRAD_H: torch.stack([norm(each) for each in by_sample]),
        schema.GRAD_H_MAX: torch.stack([each.amax() for each in by_sample]),
    }
    missing = missing.to(columns[schema.GRAD_H].device)
    gaps = {schema.GRAD_H: missing, schema.GRAD_H_MAX: missing}
    return Signals(TraceKey(name, 0, "forward", 0), columns, {}, gaps)


def _rows(tensor: Tensor) -> Tensor:
    """[N, ...] as [N, S]; a single vector is one sample."""
    return tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.flatten(1)
