"""A method of one object with something done before it: for what torch has no hook for."""

from collections.abc import Callable
from typing import Any, Protocol

from graddiag.tracing.compiled import passed_over, uncompiled


class Handle(Protocol):
    """A hook that can be taken off."""

    def remove(self) -> None: ...


class Interception:
    """Runs ``before(*args)`` ahead of each ``owner.name(*args)``, until ``remove``.

    Copies and pickles of the owner are left with the plain method.
    """

    def __init__(self, owner: object, name: str, before: Callable[..., None]) -> None:
        self._owner = owner
        self._name = name
        self._before = before
        self._original = getattr(owner, name)
        self._replaced = vars(owner).get(name)
        vars(owner)[name] = self

    @passed_over
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._run_before(args, kwargs)
        return self._original(*args, **kwargs)

    @uncompiled
    def _run_before(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._before(*args, **kwargs)

    def remove(self) -> None:
        """Gives the owner its method back; where somebody else wrapped it meanwhile, only does nothing from here on."""
        self._before = _nothing
        if vars(self._owner).get(self._name) is not self:
            return
        if self._replaced is None:
            del vars(self._owner)[self._name]
        else:
            vars(self._owner)[self._name] = self._replaced

    def __reduce__(self) -> tuple[Any, ...]:
        # of Python's own, so that a pickle of the owner loads without graddiag: the owner has no attributes yet when it
        # is read, and gives the method of its class
        return getattr, (self._owner, self._name)


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None
