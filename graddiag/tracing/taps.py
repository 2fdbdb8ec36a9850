"""The exact gradients of any tensor of a loop that the user writes, timestep by timestep.

Legend: s_t the tensor tapped at t, G_t total dL/ds_t, J_t = d s_t / d s_{t-1} through everything that lies between.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graddiag import schema
from graddiag.kinds import Nonlinearity
from graddiag.schema import TraceKey
from graddiag.tracing.differences import difference
from graddiag.tracing.gate_statistics import activation_statistics
from graddiag.tracing.norms import norm, rows_of
from graddiag.tracing.signals import Signals, underflowed
from graddiag.tracing.state_graph import StateGraph, StatePath

_Gate = tuple[Tensor, Nonlinearity]


class Taps:
    """Tensors tapped during one step, by name, in the order in which they came: timestep 0 first."""

    def __init__(self) -> None:
        self._active = False
        self._forget()

    @property
    def is_active(self) -> bool:
        return self._active

    @property
    def names(self) -> tuple[str, ...]:
        """What has been tapped since ``start``."""
        return tuple(self._tapped)

    def start(self) -> None:
        """From here on tensors are tapped; what was tapped before is forgotten."""
        self._active = True
        self._forget()

    def stop(self) -> None:
        self._active = False

    def tap(self, name: str, tensor: Tensor) -> Tensor:
        """Notes ``tensor`` [N, ...] as the next timestep of ``name`` and returns it, unchanged."""
        if self._active and tensor.requires_grad and torch.is_grad_enabled():
            taps = self._tapped.pop(name, [])  # the name tapped last comes last
            path = None if name in self._branched else self._graph.path(name, [tensor])
            tap = _Tap(tensor, path, len(taps))
            if path is not None and path.sources and not tap.has_path:
                self._branched.add(name)  # nor will the next one's: a walk over the whole graph each time is spared
            self._graph.note(name, _TapKey(len(taps)), tensor)
            self._tapped[name] = [*taps, tap]
        return tensor

    def gate(self, name: str, values: Tensor, activation: Nonlinearity, of: str | None) -> None:
        """Notes the activations of a gate at the timestep tapped last, of ``of`` or of the name tapped last."""
        tapped = next(reversed(self._tapped.values()), []) if of is None else self._tapped.get(of, [])
        if tapped:
            tapped[-1].gates[name] = (values.detach(), activation)

    def take(self) -> list[Signals]:
        """Signals of each name that a gradient reached; timesteps that none reached are missing."""
        tapped = self._tapped
        self._forget()
        return [_signals(name, taps) for name, taps in tapped.items() if any(tap.grad is not None for tap in taps)]

    def _forget(self) -> None:
        self._tapped: dict[str, list[_Tap]] = {}
        self._graph = StateGraph()
        self._branched: set[str] = set()  # names whose tensors depend on several of those tapped before


class _TapKey(NamedTuple):
    timestep: int


class _Tap:
    """One tensor: its size, the gradient that reaches it in total, and what that sends to the one tapped before.

    sent: J^T G, None where that is not known; it is computed while the backward pass stands at the tensor.
    """

    def __init__(self, tensor: Tensor, path: StatePath | None, timestep: int) -> None:
        rows = rows_of(tensor.detach())
        self.shape, self.dtype = tensor.shape, tensor.dtype
        self.rms = norm(norm(rows)) / max(rows.numel(), 1) ** 0.5
        self.grad: Tensor | None = None
        self.sent: Tensor | None = None
        self.gates: dict[str, _Gate] = {}
        self._before = _TapKey(timestep - 1)
        # of a state that several earlier ones lead to, J of the last of these is not all of its path
        known = path is not None and path.missing is None and path.sources == [self._before]
        self._path = path if known else None
        if tensor.grad_fn is None:
            tensor.register_hook(_method(self, _Tap._add))
        else:
            # at the node that made it, where the user's own hooks have been applied
            tensor.grad_fn.register_prehook(_at_node(_method(self, _Tap._add), tensor.output_nr))

    @property
    def has_path(self) -> bool:
        """Whether what it sends back can be known."""
        return self._path is not None

    def _add(self, grad: Tensor) -> None:
        grad = grad.detach()
        sent = self._send_back(grad)
        again = self.grad is not None
        self.grad = grad if self.grad is None else self.grad + grad
        self.sent = sent if not again else None if sent is None or self.sent is None else self.sent + sent

    def _send_back(self, grad: Tensor) -> Tensor | None:
        if self._path is None:
            return None
        try:
            return self._path.send_back([grad]).get(self._before)
        except Exception:  # the training continues; the gain is missing
            self._path = None
            return None


def _method(tap: _Tap, action: Callable[[_Tap, Tensor], None]) -> Callable[[Tensor], None]:
    """``action`` of a tap for the graph to hold: the tap holds a path through that graph, so it is not held by it."""
    reference = weakref.ref(tap)

    def run(grad: Tensor) -> None:
        alive = reference()
        if alive is not None:
            action(alive, grad)

    return run


def _at_node(action: Callable[[Tensor], None], output_nr: int) -> Callable[[tuple[Tensor | None, ...]], None]:
    def reached(grads: tuple[Tensor | None, ...]) -> None:
        grad = grads[output_nr]
        if grad is not None:
            action(grad)

    return reached


def _signals(name: str, taps: Sequence[_Tap]) -> Signals:
    by_sample = [taps[0].rms.new_zeros(1) if tap.grad is None else norm(rows_of(tap.grad)) for tap in taps]
    columns = {
        schema.H_RMS: torch.stack([tap.rms for tap in taps]),
        schema.GRAD_H: torch.stack([norm(each) for each in by_sample]),
        schema.GRAD_H_MAX: torch.stack([each.amax() for each in by_sample]),
    }
    unreached = _flags(taps, [tap.grad is None for tap in taps])
    missing = {schema.GRAD_H: unreached, schema.GRAD_H_MAX: unreached}
    if any(tap.sent is not None for tap in taps):
        columns[schema.TRANSPORT_GAIN], missing[schema.TRANSPORT_GAIN] = _gain(taps, columns[schema.GRAD_H])
        columns[schema.GRAD_H_DIRECT], missing[schema.GRAD_H_DIRECT] = _immediate(taps)
    gates = {key: activation_statistics(*of) for key in taps[0].gates if (of := _gate(taps, key)) is not None}
    return Signals(TraceKey(name, 0, "forward", 0), columns, gates, missing)


def _gain(taps: Sequence[_Tap], reached: Tensor) -> tuple[Tensor, Tensor]:
    """gain_t = ||J_t^T G_t|| / ||G_t||, [T], and where it has no value, [T]; samples to whose state nothing is sent
    back, as at the end of an episode, are left out of both."""
    gains, gaps = [], []
    for tap, total in zip(taps, reached, strict=True):
        if tap.grad is None or tap.sent is None:
            gains.append(torch.full_like(total, torch.nan))
            gaps.append(torch.ones_like(total, dtype=torch.bool))
            continue
        came, sent = norm(rows_of(tap.grad)), norm(rows_of(tap.sent))
        came = torch.where(sent == 0, 0.0, came) if len(came) == len(sent) else came
        before, after = norm(came), norm(sent)
        gains.append(after / before)
        gaps.append((before == 0) | underflowed(before, after, tap.dtype))
    gap = torch.stack(gaps)
    return torch.where(gap, torch.nan, torch.stack(gains)), gap


def _immediate(taps: Sequence[_Tap]) -> tuple[Tensor, Tensor]:
    """The norm of G_t less what t+1 sent, [T], and where that is not known, [T]."""
    sizes, gaps = [], []
    for tap, behind in zip(taps, [*taps[1:], None], strict=True):
        known = tap.grad is not None and (behind is None or behind.grad is None or behind.sent is not None)
        rest: Tensor | None = None if not known or tap.grad is None else rows_of(tap.grad)
        if rest is not None and behind is not None and behind.sent is not None:
            rest = difference(rest, rows_of(behind.sent))
        sizes.append(taps[0].rms.new_full((), torch.nan) if rest is None else norm(norm(rest)))
        gaps.append(rest is None)
    return torch.stack(sizes), _flags(taps, gaps)


def _gate(taps: Sequence[_Tap], key: str) -> tuple[Tensor, Nonlinearity] | None:
    """The activations [T, N, S] of a gate; None where it was not given at every timestep."""
    found: list[Any] = [tap.gates.get(key) for tap in taps]
    if any(each is None for each in found):
        return None
    return torch.stack([rows_of(values) for values, _ in found]), found[0][1]


def _flags(taps: Sequence[_Tap], values: Sequence[bool]) -> Tensor:
    return torch.tensor(values, device=taps[0].rms.device)
