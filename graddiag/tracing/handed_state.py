"""The state that one call of a module is given: how it depends on earlier calls, and what goes back along that path.

A call *follows* an earlier one where its state depends on what that call returned. What it sends back to its own
initial state reaches it along the path of the state, through whatever operations lie between the two calls. That is
computed in the middle of the backward pass, when the call's own gradient is known and autograd still holds what the
operations have saved.

Legend: N batch, L layers; carried gradient: what the call and the calls behind it send back to the state it was given.
"""

import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from graddiag.errors import UnsupportedError
from graddiag.tracing.passes import ByPass, Passes
from graddiag.tracing.state_graph import StateGraph, StatePath

Place = Literal["output", "h_n", "c_n", "h0", "c0"]
Sent = tuple[Tensor, Tensor | None]

FINALS: Final[tuple[Place, ...]] = ("h_n", "c_n")
GIVENS: Final[tuple[Place, ...]] = ("h0", "c0")


class HandedKey(NamedTuple):
    """A state of a call: what it returned (output, h_n, c_n) or what it was given (h0, c0)."""

    call: int
    place: Place


class SentAtOnce(Protocol):
    """A layer of a call that says in the middle of a pass what it sends back to its initial state, in that pass."""

    def sent_in_pass(self) -> Sent | None: ...


class HandedState:
    """What one call was given, and what it sends back.

    call: its number. attached: whether the state is part of autograd's graph, so that a gradient goes further back than
    this call. follows: the call that it carries on from, None where none is known. reason: why none is, although the
    state is attached. gap: why the transport gain across the path is not known. ended: [N] samples whose state does not
    depend on the call before (a mask that ends an episode), None where not known of any; absent: [N] samples that the
    *next* call's state passes by (padding), likewise. sums: what earlier calls have got, by ``HandedKey``, and by
    ``("moved", layer)`` the carried gradient of each layer behind the path.
    """

    def __init__(self, call: int, given: Sequence[Tensor], passes: Passes) -> None:
        self.call = call
        self.attached = any(state.requires_grad for state in given)
        self.follows: int | None = None
        self.direct = False
        self.reason: str | None = None
        self.gap: str | None = None
        self.ended: Tensor | None = None
        self.absent: Tensor | None = None
        self.sums = ByPass(passes)
        self.layers: list[weakref.ref[SentAtOnce]] = []
        self._shapes = [state.shape for state in given]
        self._path: StatePath | None = None
        self._before: weakref.ref[HandedState] | None = None

    @property
    def known(self) -> bool:
        """Whether what reaches the earlier calls is known."""
        return self._path is None or self._path.missing is None

    @property
    def sources(self) -> set[int]:
        """The calls whose results the state depends on, at once."""
        keys = () if self._path is None else self._path.sources
        return {key.call for key in keys if isinstance(key, HandedKey) and key.place not in GIVENS}

    def follow(self, path: StatePath, before: "HandedState", on_gradient: Callable[["HandedState"], None]) -> None:
        """Carries on from the call ``before`` along ``path``; ``on_gradient`` is called at the moment to ``send``."""
        self._path, self._before, self.follows = path, weakref.ref(before), before.call
        if before.direct:
            _past(path, before)
        self.direct = path.direct and _places(path) == list(zip(FINALS, [before.call] * len(path.roots), strict=False))
        if self.direct:
            path.release()
            self._path = None
            return
        if path.missing is not None:
            self.gap = path.missing
            path.release()
            return
        if len(self.sources) > 1:
            self.gap = "the state depends on several earlier calls at once"
        alive = weakref.ref(self)

        def arrived() -> None:
            handed = alive()
            if handed is not None:
                on_gradient(handed)

        path.at_gradient(arrived)

    @torch.no_grad()
    def send(self) -> None:
        """Sends back along the path of its state what the call, and what passed it by, carries in this pass."""
        assert self._path is not None
        arrived: dict[Hashable, Tensor] = {}
        for layer, sent in enumerate(self._carried()):
            if sent is None:
                continue
            try:
                found = self._path.send_back(self._placed(layer, sent))
            except UnsupportedError as error:
                self.gap = str(error)
                self._path.missing = str(error)
                return
            self._judge(layer, sent, found)
            for key, grad in found.items():
                arrived[key] = grad if key not in arrived else arrived[key] + grad
        for key, grad in arrived.items():
            assert isinstance(key, HandedKey)
            if key.place in GIVENS:
                self._pass_by(key, grad)
            else:
                self.sums.stage(key, grad)

    def commit(self) -> None:
        """The pass has ended."""
        self.sums.commit()
        before = None if self._before is None else self._before()
        if before is not None and before.direct:
            before.sums.commit()

    def release(self) -> None:
        """Lets go of the graph."""
        if self._path is not None:
            self._path.release()

    def _carried(self) -> list[Sent | None]:
        """By layer what goes back to the given state in this pass: sent by the call, and passed by it."""
        found: list[Sent | None] = []
        for number, reference in enumerate(self.layers):
            layer = reference()
            sent = None if layer is None else layer.sent_in_pass()
            passed = [self.sums.staged(("passed", place)) for place in GIVENS[: len(self._shapes)]]
            by = [None if grad is None else self._of_layer(grad, number) for grad in passed]
            found.append(sent if all(each is None for each in by) else _with(sent, by))
        return found

    def _of_layer(self, grad: Tensor, layer: int) -> Tensor:
        return grad if grad.dim() == 2 else grad[layer]

    def _placed(self, layer: int, sent: Sent) -> list[Tensor | None]:
        """The gradient of one layer's state as one of the given tensors, [N, S] or [L, N, S]."""
        placed: list[Tensor | None] = []
        for grad, shape in zip(sent, self._shapes, strict=False):
            if grad is None or len(shape) == 2:
                placed.append(grad)
                continue
            whole = grad.new_zeros(shape)
            whole[layer] = grad
            placed.append(whole)
        return placed

    def _judge(self, layer: int, sent: Sent, found: dict[Hashable, Tensor]) -> None:
        """What the path does to each sample: passes it on, ends it, or passes the call before by."""
        at_call = self._at_before(layer, found, (*FINALS, "output"))
        passed = self._at_before(layer, found, GIVENS)
        if at_call is None or passed is None:
            return
        size, to_call, past = (_rows(each) for each in (sent, at_call, passed))
        felt = size > torch.finfo(sent[0].dtype).tiny / torch.finfo(sent[0].dtype).eps
        if bool(((to_call > 0) & (past > 0)).any()):
            self.gap = "the state is a mixture of the new one and the one before it (a leak, zoneout)"
            return
        gone = felt & (past > 0)
        if bool(gone.any()) and not all(
            torch.equal(a[gone], b[gone]) for a, b in zip(sent, passed, strict=False) if a is not None and b is not None
        ):
            self.gap = "a part of the state before is carried past the call between"
            return
        ended = felt & (to_call == 0) & (past == 0)
        if bool(ended.any()):
            if self._arrives(layer, sent, ended, unsaturated=False):
                self.gap = "samples change their places between the calls and some of them end"
                return
            # a clamp that holds all units of a sample is part of the gain, a mask ends its memory
            ended = ended & ~self._arrives_by_sample(layer, sent, ended)
        before = None if self._before is None else self._before()
        if before is not None:
            before.absent = _either(before.absent, gone)
        self.ended = _either(self.ended, ended)
        moved = [_sum(a, b) for a, b in zip(at_call, passed, strict=True)]
        for place, grad in zip(GIVENS, moved, strict=False):
            if grad is not None:
                self.sums.stage(("moved", layer, place), grad)

    def _at_before(
        self, layer: int, found: dict[Hashable, Tensor], places: Sequence[Place]
    ) -> "list[Tensor | None] | None":
        """What of ``found`` arrives at one layer's (h, c) of the call before; None where it is more than that."""
        h: Tensor | None = None
        c: Tensor | None = None
        for key, grad in found.items():
            assert isinstance(key, HandedKey)
            if key.place not in places:
                continue
            if key.call != self.follows:
                self.gap = self.gap or "the state depends on several earlier calls at once"
                return None
            if key.place == "output":
                if len(grad) > 1 and bool(grad[:-1].any()):
                    self.gap = "the state depends on several timesteps of the call before"
                    return None
                if layer + 1 != len(self.layers):
                    if bool(grad.any()):
                        self.gap = _ACROSS
                        return None
                    continue
                h = _sum(h, grad[-1])
                continue
            if (
                grad.dim() > 2
                and len(grad) > 1
                and bool((grad.flatten(1) != 0).any(1).sum() > int(bool(grad[layer].any())))
            ):
                self.gap = _ACROSS
                return None
            own = self._of_layer(grad, layer)
            if key.place in ("h_n", "h0"):
                h = _sum(h, own)
            else:
                c = _sum(c, own)
        return [h, c]

    def _arrives(self, layer: int, sent: Sent, samples: Tensor, *, unsaturated: bool) -> dict[Hashable, Tensor]:
        """What of these samples alone arrives anywhere, by key; those that nothing arrives at are left out."""
        assert self._path is not None
        alone = tuple(None if grad is None else grad * samples.unsqueeze(-1) for grad in sent)
        found = self._path.send_back(self._placed(layer, alone), unsaturated=unsaturated)  # type: ignore[arg-type]
        return {key: grad for key, grad in found.items() if bool(grad.any())}

    def _arrives_by_sample(self, layer: int, sent: Sent, samples: Tensor) -> Tensor:
        """Of which samples something would arrive if nothing were saturated, [N]."""
        found = self._arrives(layer, sent, samples, unsaturated=True)
        held = torch.zeros_like(samples)
        for grad in found.values():
            held |= (grad != 0).any(-1).flatten(0, -2).any(0) if grad.dim() > 2 else (grad != 0).any(-1)
        return held

    def _pass_by(self, key: HandedKey, grad: Tensor) -> None:
        """What bypasses the earlier call reaches the state that it was given."""
        before = None if self._before is None else self._before()
        if before is None or key.call != before.call:
            self.gap = self.gap or "the state depends on the state that an earlier call was given"
            return
        name = ("passed", key.place)
        before.sums.stage(name, _sum(before.sums.staged(name), grad))


_ACROSS: Final = "the operations between the calls mix the states of several layers"


def follow_back(
    graph: StateGraph, module: str, handed: HandedState, given: Sequence[Tensor], calls: Mapping[int, HandedState]
) -> tuple[StatePath, HandedState | None]:
    """The path of the state of one call, and the call that it carries on from: the last of those that it depends on,
    where all the others come before that one; with the reason in ``handed`` where there is none."""
    path = graph.path(module, given)
    # a state that one call returned and the next was given is the former
    for edge, keys in path.ends.items():
        returned: Sequence[Hashable] = [k for k in keys if isinstance(k, HandedKey) and k.place not in GIVENS]
        path.ends[edge] = returned or keys
    finals = {key.call for key in path.sources if isinstance(key, HandedKey) and key.place not in GIVENS}
    if path.missing is not None and not finals:
        handed.reason = path.missing
        return path, None
    last = max(finals, default=None)
    before = None if last is None else calls.get(last)
    if before is None:
        return path, None
    if not finals <= {last, *_line(before, calls)}:
        handed.reason = "its state depends on several calls, none of which carries on from the others"
        return path, None
    return path, before


def _past(path: StatePath, before: HandedState) -> None:
    """Where the call before was given a state just as an earlier call had returned it, a path to that one goes past the
    call before: it ends at what that was given."""
    passed = dict(zip(FINALS, GIVENS, strict=True))
    for edge, keys in path.ends.items():
        path.ends[edge] = [
            HandedKey(before.call, passed[key.place])
            if isinstance(key, HandedKey) and key.call == before.follows and key.place in passed
            else key
            for key in keys
        ]


def _line(handed: HandedState, calls: Mapping[int, HandedState]) -> set[int]:
    """The calls that one carries on from, one after the other."""
    found: set[int] = set()
    follows = handed.follows
    while follows is not None and follows not in found:
        found.add(follows)
        follows = calls[follows].follows if follows in calls else None
    return found


def _places(path: StatePath) -> list[tuple[Place, int]]:
    """Of a direct path, what each state was."""
    keys = [path.ends[root][0] for root in path.roots if root is not None]
    return [(key.place, key.call) for key in keys if isinstance(key, HandedKey)]


def _rows(grads: Sequence[Tensor | None]) -> Tensor:
    """The largest entry of each sample, [N]."""
    sizes = [grad.abs().amax(-1) for grad in grads if grad is not None]
    return torch.zeros(()) if not sizes else torch.stack([size.double() for size in sizes]).amax(0)


def _with(sent: Sent | None, passed: Sequence[Tensor | None]) -> Sent:
    """What a call sends back and what passed it by, together."""
    own: Sequence[Tensor | None] = (None, None) if sent is None else sent
    h, c = (_sum(a, b) for a, b in zip(own, (*passed, None)[:2], strict=True))
    if h is None:
        assert c is not None
        h = torch.zeros_like(c)
    return h, c


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _either(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None or a.shape != b.shape else a | b
