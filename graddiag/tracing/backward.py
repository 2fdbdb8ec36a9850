"""The end of a backward pass, as a moment at which work can be done."""

from collections.abc import Callable, Hashable

import torch

from graddiag.tracing.compiled import uncompiled


class EndOfBackward:
    """Runs each scheduled task once, when the backward pass under way has finished.

    With ``after_others`` it also waits for what others do at that moment (DistributedDataParallel finishes its
    all-reduce there), so that the gradients are those that an optimizer will find.
    """

    def __init__(self, guard: Callable[[Callable[[], None]], None], *, after_others: bool = False) -> None:
        self.guard = guard
        self._after_others = after_others
        self._pass = -1
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    def schedule(self, key: Hashable, task: Callable[[], None]) -> None:
        """Called during a backward pass; a ``key`` scheduled again in the same pass has its task replaced."""
        if self._pass != current_pass():
            # a pass that failed never ran what waited for its end
            self._pass, self._waiting = current_pass(), {}
            _queue(self._later if self._after_others else self._run)
        self._waiting[key] = task

    @uncompiled
    def _later(self) -> None:
        _queue(self._run)

    @uncompiled
    def _run(self) -> None:
        waiting, self._pass, self._waiting = self._waiting, -1, {}
        for task in waiting.values():
            self.guard(task)


def current_pass() -> int:
    """A number for the backward pass that this thread is in."""
    return torch._C._current_graph_task_id()


def _queue(callback: Callable[[], None]) -> None:
    torch.autograd.Variable._execution_engine.queue_callback(callback)
