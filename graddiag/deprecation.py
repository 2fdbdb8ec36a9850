"""Names that changed: the old one works for one version more, with a DeprecationWarning that names the new one."""

import functools
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def warn_renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warns the caller of the caller that ``old`` is now called ``new``."""
    warnings.warn(f"{old} is now called {new}.", DeprecationWarning, stacklevel=stacklevel)


def renamed_names(module: str, renamed: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for ``module`` that gives the names it has now by the old ones, ``renamed`` from old to new.

    Raises:
        AttributeError: the module has no such name, old or new.
    """

    def getattr_of_module(name: str) -> Any:
        if name not in renamed:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        new = renamed[name]
        warn_renamed(f"{module}.{name}", new)
        return getattr(sys.modules[module], new)

    return getattr_of_module


def renamed_attribute(old: str, new: str) -> Any:
    """A property that gives the attribute, property or method ``new`` under the name ``old`` of the same class."""

    def get(self: Any) -> Any:
        warn_renamed(f"{type(self).__name__}.{old}", new)
        return getattr(self, new)

    return property(get, doc=f"Deprecated: ``{new}``.")


def renamed_argument(old: str, new: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator of a function whose keyword argument ``old`` is now called ``new``."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if old in kwargs:
                warn_renamed(f"{function.__name__}({old}=...)", new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
