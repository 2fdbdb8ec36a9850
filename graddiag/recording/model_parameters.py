"""The parameters of a model by name, known without going through its modules, which takes longer than small ones take
to measure."""

from collections.abc import Iterable
from typing import Protocol

from torch import nn


class HasParameters(Protocol):
    """A model, or what is known of it."""

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]: ...


class ModelParameters:
    """The parameters that a model had at the last ``refresh``."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._named = tuple(model.named_parameters())

    def refresh(self) -> None:
        """Takes up what was added to the model, replaced or taken away."""
        self._named = tuple(self._model.named_parameters())

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        return self._named
