"""What a recorder counts over a run and later rows depend on, kept in a checkpoint."""

from collections.abc import Mapping
from typing import Any, Protocol

from graddiag.recording.parameters import GradientMeter
from graddiag.recording.step_measures import Scalar


class Counting(Protocol):
    """A part of a recorder that counts over a run."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class RunCounts:
    """The counts of the parts of a recorder, by name, and those that belong to the step under way."""

    def __init__(self, gradients: GradientMeter, **parts: Counting) -> None:
        self._gradients = gradients
        self._parts = parts

    def state(self, logged: Mapping[str, Scalar], awaited: set[int]) -> dict[str, Any]:
        """Numbers, text and tensors on the host. logged: scalars that wait for the next update; awaited: the
        optimizers whose updates end a step."""
        scalars = {name: None if value is None else float(value) for name, value in logged.items()}
        own = {"logged": scalars, "awaited": sorted(awaited), "skipped": self._gradients.left_out()}
        return {**own, **{name: part.state() for name, part in self._parts.items()}}

    def restore(self, counts: Mapping[str, Any]) -> tuple[dict[str, Scalar], set[int]]:
        """Continues from ``counts``; what was logged and awaited then."""
        self._gradients.restore_left_out(counts["skipped"])
        for name, part in self._parts.items():
            if name in counts:  # a checkpoint of an earlier version lacks some
                part.restore(counts[name])
        return dict(counts["logged"]), {*counts["awaited"]}
