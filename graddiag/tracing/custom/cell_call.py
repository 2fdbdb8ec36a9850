"""Where a call of a cell has its state: among the arguments, and in what it returns."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from graddiag.errors import SettingError, UnsupportedError

Place = str | int
"""An argument by name or position, an entry of a result by index, key or attribute; ``"1.h"`` goes two levels down."""

_NAMES: Final = (
    *("hx", "state", "states", "h", "hidden", "hiddens", "hidden_state", "hidden_states", "carry", "hc", "memory"),
    *("prev_state", "previous_state", "state_prev", "h_prev", "prev_h", "prev_hidden", "h_0", "h0", "h_t", "ht"),
)


@dataclass(frozen=True)
class CellCall:
    """How a cell is called: which arguments hold the state, and which part of the result is the next one.

    Attributes:
        state: the argument that holds the state, by name or by position (counted from 0 after ``self``), or several of
            them: ``("h", "c")``. An argument may be a tensor [N, ...], or a tuple, list, dict or dataclass of them.
            None: an argument with a usual name (``hx``, ``state``, ``h``, ``hidden``, ...; ``h`` and ``c`` together
            where both are there), else the second one.
        result: the next state in the result, by index, key or attribute, or several of them in the order of
            ``state``. None: the whole result or that part of it which has the shapes of the state; of several, the
            last, as in ``(output, state)``.
        first: which tensor of a state of several is the one called h, whose gradient is ``grad_h``; the others
            together are c.
    """

    state: Place | tuple[Place, ...] | None = None
    result: Place | tuple[Place, ...] | None = None
    first: int = 0


@dataclass(frozen=True)
class CellForm:
    """A ``CellCall`` together with the signature that it is about: finds the state in the calls of one module."""

    name: str
    call: CellCall
    signature: inspect.Signature
    state: tuple[str, ...]

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """The arguments of a call by name; those that were left out stay so."""
        return self.signature.bind(*args, **kwargs)

    def given(self, bound: inspect.BoundArguments) -> list[Tensor]:
        """The tensors of the state that a call was given, in order; empty where it was given none."""
        return [tensor for place in self.state for tensor in tensors_in(_argument(bound, place))]

    def replaced(self, bound: inspect.BoundArguments, states: Sequence[Tensor]) -> inspect.BoundArguments:
        """The same arguments with ``states`` for the tensors of ``given``."""
        values, waiting = dict(bound.arguments), iter(states)
        for place in self.state:
            head, *inner = place.split(".")
            holder, key = _holder(values, self.signature, head)
            if holder is not None:
                holder[key] = _at(holder[key], inner, lambda tree: map_tree(tree, lambda _: next(waiting)))
        return inspect.BoundArguments(self.signature, OrderedDict(values))

    def returned(self, output: Any, given: Sequence[Tensor] | None) -> list[Tensor]:
        """The tensors of the next state in ``output``. ``given``: the state that calls are given, None where not known.

        Raises:
            UnsupportedError: no part of the result is a state.
        """
        if self.call.result is not None:
            places = self.call.result if isinstance(self.call.result, tuple) else (self.call.result,)
            return [tensor for place in places for tensor in tensors_in(_entry(output, str(place), self.name))]
        found = _matching(output, given)
        if found is None:
            wanted = "a tensor" if given is None else f"the shapes {[tuple(each.shape) for each in given]}"
            raise UnsupportedError(
                f"cell {self.name!r}: no part of its result {describe(output)} has {wanted} of the state. Say which "
                f"part it is: cells={{{self.name!r}: graddiag.CellCall(result=...)}}."
            )
        return found


def form_of(name: str, module: nn.Module, call: CellCall) -> CellForm:
    """The form of the calls of ``module``.

    Raises:
        SettingError: its forward has no argument of the name or position that ``call`` gives.
    """
    signature = inspect.signature(module.forward)
    own = [p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    own += [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    places = call.state if isinstance(call.state, tuple) else (call.state,)
    state = _usual(own) if call.state is None else tuple(_named(place, own) for place in places if place is not None)
    unknown = [place for place in state if place.split(".")[0] not in own]
    if unknown and not _takes_any(signature):
        state = ()
    if not state:
        asked = "has no argument for a state" if call.state is None else f"has no argument {unknown[0]!r}"
        raise SettingError(
            f"watch(cells=...): forward{signature} of {name or '(model)'!r} ({type(module).__name__}) {asked}. Name "
            f"it: cells={{{name!r}: graddiag.CellCall(state=...)}}, one of {own or 'its arguments'}; a state that "
            "is no argument can be followed with recorder.tap."
        )
    return CellForm(name, call, signature, state)


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors of a tree of tuples, lists, dicts and dataclasses, in order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tree(tree, note)
    return found


def map_tree(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same tree with ``change(tensor)`` for every tensor; what it cannot open is left as it is."""
    if isinstance(tree, Tensor):
        return change(tree)
    if type(tree) in (dict, OrderedDict):
        return type(tree)((key, map_tree(value, change)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tree(value, change) for value in tree))
    if isinstance(tree, list | tuple) and type(tree) in (list, tuple, torch.Size):
        return type(tree)(map_tree(value, change) for value in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        changed = {f.name: map_tree(getattr(tree, f.name), change) for f in fields(tree) if f.init}
        return replace(tree, **changed)
    return tree


def describe(tree: Any) -> str:
    """What a tree looks like, for a message: ``([4, 8], [4, 8])``."""
    if isinstance(tree, Tensor):
        return str(list(tree.shape))
    if isinstance(tree, list | tuple):
        return f"({', '.join(describe(each) for each in tree)})"
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key!r}: {describe(value)}" for key, value in tree.items()) + "}"
    return type(tree).__name__


def _usual(own: Sequence[str]) -> tuple[str, ...]:
    """The argument that holds the state where nothing is said; h and c together where they are two."""
    named = next((name for name in own if name in _NAMES), None)
    chosen = named or (own[1] if len(own) > 1 else next(iter(own), None))
    if chosen is None:
        return ()
    other = chosen.replace("h", "c", 1)
    return (chosen, other) if other != chosen and other in own else (chosen,)


def _named(place: Place, own: Sequence[str]) -> str:
    """An argument by name, ``state.h`` or ``1`` too; a position that there is not stays a number."""
    head, dot, inner = str(place).partition(".")
    if head.lstrip("-").isdecimal() and -len(own) <= int(head) < len(own):
        head = own[int(head)]
    return head + dot + inner


def _takes_any(signature: inspect.Signature) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def _holder(values: dict[str, Any], signature: inspect.Signature, name: str) -> tuple[dict[str, Any] | None, str]:
    """The dict that holds the argument ``name``: that of all arguments, or the one of ``**kwargs``."""
    if name in values:
        return values, name
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and name in values.get(parameter.name, {}):
            values[parameter.name] = dict(values[parameter.name])
            return values[parameter.name], name
    return None, name


def _argument(bound: inspect.BoundArguments, place: str) -> Any:
    head, *inner = place.split(".")
    holder, key = _holder(dict(bound.arguments), bound.signature, head)
    value = None if holder is None else holder[key]
    for step in inner:
        value = None if value is None else _step(value, step)
    return value


def _at(tree: Any, inner: Sequence[str], change: Callable[[Any], Any]) -> Any:
    """``tree`` with ``change`` applied to what lies at ``inner``."""
    if not inner:
        return change(tree)
    if isinstance(tree, Mapping):
        return {**tree, inner[0]: _at(tree[inner[0]], inner[1:], change)}
    if isinstance(tree, list | tuple):
        index = int(inner[0]) % len(tree)
        changed = [_at(value, inner[1:], change) if k == index else value for k, value in enumerate(tree)]
        return type(tree)(*changed) if hasattr(tree, "_fields") else type(tree)(changed)
    return replace(tree, **{inner[0]: _at(getattr(tree, inner[0]), inner[1:], change)})


def _entry(output: Any, place: str, name: str) -> Any:
    for step in place.split("."):
        try:
            output = _step(output, step)
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            raise UnsupportedError(
                f"cell {name!r}: CellCall(result={place!r}): its result {describe(output)} has no entry {step!r}."
            ) from error
    return output


def _step(tree: Any, step: str) -> Any:
    if isinstance(tree, Mapping):
        return tree[step] if step in tree else tree[int(step)]
    if step.lstrip("-").isdecimal():
        return tree[int(step)]
    return getattr(tree, step)


def _matching(output: Any, given: Sequence[Tensor] | None) -> list[Tensor] | None:
    """The whole of a result, or the last part of it, with the shapes of the state; of an unknown state the last part
    that holds a tensor."""
    if isinstance(output, Tensor):
        return [output] if given is None or len(given) == 1 else None
    parts = _parts(output)
    if given is None:
        return next((found for part in reversed(parts) if (found := tensors_in(part))), None)
    shapes = [tensor.shape for tensor in given]
    tails = [parts[start : start + len(given)] for start in range(len(parts) - len(given), -1, -1)]
    for candidate in (output, *reversed(parts), *tails):
        found = tensors_in(candidate)
        if [tensor.shape for tensor in found] == shapes:
            return found
    return None


def _parts(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        return list(output.values())
    if isinstance(output, list | tuple):
        return list(output)
    return [getattr(output, f.name) for f in fields(output)] if is_dataclass(output) else []
