"""A text read in order: N streams side by side, in windows of T symbols whose state is carried from one to the next."""

from collections.abc import Iterator

from torch import Tensor

from graddiag.lab.task import Batch


def contiguous(symbols: Tensor, length: int, streams: int) -> Iterator[Batch]:
    """The text once: ``streams`` parts of equal length, read side by side in windows of ``length``.

    Symbols [W] that do not fill the parts are left out, and so are those behind the last whole window, unless there is
    none: then the one window is shorter. A text too short for so many parts is read as fewer.

    Source: the reader of TensorFlow's PTB tutorial, which cuts in the same way.
    """
    streams = max(1, min(streams, len(symbols) // (length + 1)))
    part = len(symbols) // streams
    rows = symbols[: part * streams].view(streams, part).T
    windows = windows_in(len(symbols), length, streams)
    if windows == 0:
        yield Batch(rows[:-1], rows[1:])
    for window in range(windows):
        start = window * length
        inputs, targets = rows[start : start + length], rows[start + 1 : start + length + 1]
        yield Batch(inputs, targets, goes_on=window > 0)


def windows_in(symbols: int, length: int, streams: int) -> int:
    """Windows of a text of so many symbols: the steps of an epoch."""
    return (symbols // streams - 1) // length
