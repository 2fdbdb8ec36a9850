"""How one state depends on earlier ones: a walk over autograd's graph, and a vector sent back along the path.

A state that is handed on from one call to the next may go through operations between them: a mask, dropout, a mixture
with an earlier state, ``torch.stack``, indexing. ``StateGraph.note`` marks the states of a step in the graph itself,
``StateGraph.path`` finds out whether and how a state depends on those that were noted before, and
``StatePath.send_back`` is the vector-Jacobian product along that path.

A path is run by calling the nodes that autograd has saved, one by one: nothing of the training's own pass is touched,
no hook of the user's is called, and the nodes keep what they saved. It has to happen while they still have it: before
the training's pass has gone that way, which is the moment at which ``StatePath.at_gradient`` calls back.

The marks hold no reference to a node, so they keep no graph alive. A ``StatePath`` holds the nodes that it goes
through: whoever keeps one keeps that part of the graph, and ``release`` lets go of it.
"""

import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from graddiag.errors import UnsupportedError
from graddiag.tracing.backward import current_pass

MOST_NODES: Final = 2_000
"""Nodes of a graph that are visited for one path; beyond them it is not known."""

Node = Any
"""A node of autograd's graph, ``tensor.grad_fn``."""

_MARK: Final = "graddiag_states"

# operations whose derivative is 0 where the value is beyond a bound
_SATURATING: Final = ("Clamp", "Relu", "Hardtanh", "Threshold", "Hardsigmoid", "Hardswish", "Minimum", "Maximum")


class Edge(NamedTuple):
    """One output of an operation: the node that made it, and which output of that node it is."""

    node: Node
    output_nr: int


class StateGraph:
    """The states of one step that later ones may depend on, by group (a module, for example) and key."""

    def __init__(self) -> None:
        self._token = _Token(weakref.ref(self))
        self._oldest: dict[Hashable, int] = {}

    def note(self, group: Hashable, key: Hashable, state: Tensor) -> None:
        """Marks ``state`` as one that ways of ``group`` end at; one without a ``grad_fn`` is left out."""
        edge = edge_of(state)
        if edge is None:
            return
        marks = edge.node.metadata.setdefault(_MARK, {})
        for stale in [token for token in marks if token.graph() is None]:
            del marks[stale]
        marks.setdefault(self._token, {}).setdefault(edge.output_nr, {}).setdefault(group, []).append(key)
        number = edge.node._sequence_nr()
        self._oldest[group] = min(number, self._oldest.get(group, number))

    def path(self, group: Hashable, states: Sequence[Tensor]) -> "StatePath":
        """How ``states`` together depend on those that were noted in ``group`` so far; see ``StatePath``."""
        roots = tuple(edge_of(state) for state in states)
        walk = _Walk(self._token, group, self._oldest.get(group))
        for root in roots:
            if root is not None and not walk.ended:
                walk.follow(root)
        missing = _why_not(walk)
        return StatePath(roots, walk.ends, [] if missing else walk.order[::-1], missing)


@dataclass
class StatePath:
    """How some states depend on earlier ones.

    roots: the edges that made the states, None for one without a ``grad_fn``. ends: the keys of the earlier states that
    are reached, by edge; an earlier state that is reached through another one alone is not among them. nodes: those in
    between, each before the ones that it sends to. missing: why no vector can be sent back along the path, although it
    may be known what it reaches; None where one can.
    """

    roots: tuple[Edge | None, ...]
    ends: dict[Edge, Sequence[Hashable]]
    nodes: list[Node] = field(default_factory=list)
    missing: str | None = None

    @property
    def sources(self) -> list[Hashable]:
        """The keys of the earlier states that are reached."""
        return [key for keys in self.ends.values() for key in keys]

    @property
    def direct(self) -> bool:
        """Whether each state is an earlier one, with no operation in between."""
        return bool(self.roots) and all(root is not None and root in self.ends for root in self.roots)

    @torch.no_grad()
    def send_back(self, grads: Sequence[Tensor | None], *, unsaturated: bool = False) -> dict[Hashable, Tensor]:
        """What gradients of the states are as gradients of the earlier states, by key: J^T g.

        Args:
            grads: one for each state, in its shape; None is 0.
            unsaturated: whether a clamp or a relu passes everything on, which tells its zeros from those of a mask.

        Returns:
            By key of ``sources``, in the shape of that state; a state that nothing is sent to is left out. Where two
            keys were noted at one edge each has the same tensor.

        Raises:
            UnsupportedError: ``missing``, or a node could not be called (it was freed, or what it saved was changed).
        """
        if self.missing is not None:
            raise UnsupportedError(self.missing)
        at_ends: dict[Edge, Tensor] = {}
        waiting: dict[Node, dict[int, Tensor]] = {}
        on_path = set(self.nodes)
        call = _call_unsaturated if unsaturated else _call
        for root, grad in zip(self.roots, grads, strict=True):
            if root is not None and grad is not None:
                self._arrive(root, grad, at_ends, waiting, on_path)
        for node in self.nodes:
            grads_in = waiting.pop(node, None)
            if grads_in is None:
                continue
            for (following, input_nr), grad in zip(node.next_functions, call(node, grads_in), strict=False):
                if following is not None and grad is not None:
                    self._arrive(Edge(following, input_nr), grad, at_ends, waiting, on_path)
        return {key: grad for edge, grad in at_ends.items() for key in self.ends[edge]}

    def at_gradient(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once in each backward pass that reaches one of the states, when what used them has been
        passed and nothing of the path has: the moment at which ``send_back`` works.

        The graph holds ``action``: it must not hold the ``StatePath`` itself, or the two keep each other alive.
        """
        once = _OncePerPass(action)
        for node in {root.node for root in self.roots if root is not None}:
            node.register_prehook(once)

    def release(self) -> None:
        """Lets go of the graph; ``sources`` are kept, nothing can be sent back any more."""
        self.ends = {Edge(None, number): keys for number, keys in enumerate(self.ends.values())}
        self.roots = ()
        self.nodes = []
        self.missing = self.missing or "the path was released"

    def _arrive(
        self,
        edge: Edge,
        grad: Tensor,
        at_ends: dict[Edge, Tensor],
        waiting: dict[Node, dict[int, Tensor]],
        on_path: set[Node],
    ) -> None:
        if edge in self.ends:
            grad = _fitted(edge, grad)
            at_ends[edge] = grad if edge not in at_ends else at_ends[edge] + grad
        elif edge.node in on_path:
            grad = _fitted(edge, grad)
            inputs = waiting.setdefault(edge.node, {})
            inputs[edge.output_nr] = grad if edge.output_nr not in inputs else inputs[edge.output_nr] + grad


def edge_of(state: Tensor) -> Edge | None:
    """The edge that made a tensor; None for one without a ``grad_fn``."""
    return None if state.grad_fn is None else Edge(state.grad_fn, state.output_nr)


class _Token:
    """Stands for one ``StateGraph`` in the marks; ``graph`` gives None when that is gone."""

    def __init__(self, graph: "weakref.ref[StateGraph]") -> None:
        self.graph = graph


class _OncePerPass:
    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._pass = -1

    def __call__(self, grads: Any) -> None:
        if self._pass != current_pass():
            self._pass = current_pass()
            self._action()


class _Walk:
    """A walk backward from some edges to the marked ones, over nodes that are no older than the oldest mark.

    A node's place in the order of making tells that nothing older can lead to a mark: an encoder that ran before the
    first call is not walked through.
    """

    def __init__(self, token: _Token, group: Hashable, oldest: int | None) -> None:
        self._token = token
        self._group = group
        self._oldest = oldest
        self._leads: dict[Node, bool] = {}
        self.ends: dict[Edge, Sequence[Hashable]] = {}
        self.order: list[Node] = []  # of those that lead to a mark, each behind the ones that it sends to
        self.ended = oldest is None
        self.too_long = False

    def follow(self, root: Edge) -> None:
        """Depth first without recursion: a graph may be deeper than Python's stack."""
        if self._marked(root) or root.node in self._leads:
            return
        stack = [(root.node, iter(_edges(root.node)))]
        self._leads[root.node] = False
        while stack:
            node, edges = stack[-1]
            following = next(edges, None)
            if following is None:
                stack.pop()
                if self._leads[node]:
                    self.order.append(node)
                    if stack:
                        self._leads[stack[-1][0]] = True
            elif self._marked(following) or self._leads.get(following.node, False):
                self._leads[node] = True
            elif following.node not in self._leads and self._is_recent(following.node):
                if len(self._leads) >= MOST_NODES:
                    self.too_long = self.ended = True
                    return
                self._leads[following.node] = False
                stack.append((following.node, iter(_edges(following.node))))

    def _marked(self, edge: Edge) -> bool:
        if edge in self.ends:
            return True
        keys = _keys(self._token, self._group, edge)
        if keys:
            self.ends[edge] = keys
        return bool(keys)

    def _is_recent(self, node: Node) -> bool:
        return self._oldest is not None and node._sequence_nr() >= self._oldest


def _edges(node: Node) -> list[Edge]:
    return [Edge(following, input_nr) for following, input_nr in node.next_functions if following is not None]


def _keys(token: _Token, group: Hashable, edge: Edge) -> Sequence[Hashable]:
    if type(edge.node).__name__ == "AccumulateGrad":
        return ()
    marks = edge.node.metadata.get(_MARK, {}).get(token, {})
    return tuple(marks.get(edge.output_nr, {}).get(group, ()))


def _why_not(walk: _Walk) -> str | None:
    """Why nothing can be sent along the path that was found, or None."""
    if walk.too_long:
        return f"more than {MOST_NODES:,} operations lie between the calls"
    for node in walk.order:
        name = type(node).__name__
        if isinstance(node, BackwardCFunction):
            return f"a custom autograd function ({name}) lies between the calls, and cannot be run again"
        if name == "CopySlices":
            return "a part of the state was changed in place between the calls (h[i] = ...)"
        if _is_packed(node):
            return (
                f"what {name} saved between the calls is kept by a hook on saved tensors (checkpoint, "
                "save_on_cpu) and cannot be read twice"
            )
    return None


def _is_packed(node: Node) -> bool:
    """Whether hooks on saved tensors keep anything of what ``node`` saved; reading that would run them."""
    for name in _raw_names(type(node)):  # type: ignore[arg-type]
        try:
            saved = getattr(node, name)
        except RuntimeError:  # freed: nothing is kept any more
            return False
        for each in saved if isinstance(saved, tuple | list) else (saved,):
            if getattr(each, "unpack_hook", None) is not None:
                return True
    return False


@lru_cache(maxsize=512)
def _raw_names(kind: type) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if name.startswith("_raw_saved_"))


def _call(node: Node, grads: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
    """What a node sends to each of its ``next_functions``."""
    inputs = [grads.get(number) for number in range(len(node._input_metadata))]
    try:
        sent = node(*inputs)
    except Exception as error:  # whatever the node says, the training's own pass will say it as well
        raise UnsupportedError(
            f"{type(node).__name__} between the calls could not be run again: {type(error).__name__}: {error}"
        ) from error
    return sent if isinstance(sent, tuple) else (sent,)


def _call_unsaturated(node: Node, grads: Mapping[int, Tensor]) -> Sequence[Tensor | None]:
    if not type(node).__name__.startswith(_SATURATING):
        return _call(node, grads)
    return tuple(None if following is None else grads[0] for following, _ in node.next_functions[:1])


def _fitted(edge: Edge, grad: Tensor) -> Tensor:
    """As autograd's engine hands it on: summed over what was broadcast, in the dtype of the output."""
    about = edge.node._input_metadata[edge.output_nr]
    shape = torch.Size(about.shape)
    if grad.shape != shape:
        grad = grad.sum_to_size(shape)
    return grad if grad.dtype == about.dtype else grad.to(about.dtype)
