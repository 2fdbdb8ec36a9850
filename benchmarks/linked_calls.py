"""What a recorded step costs when a cell is called once per timestep: the state handed on as it is, and masked.

python -m benchmarks.linked_calls
"""

import statistics
import tempfile
import time
from typing import Final

import torch
from torch import Tensor, nn

import graddiag

CALLS, BATCH, INPUTS, HIDDEN = 100, 32, 64, 128
_STEPS: Final = 12
_WARM: Final = 2


def cpu_milliseconds(mask: Tensor | None, *, watched: bool) -> float:
    """CPU time of a training step, the median of ten."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(INPUTS, HIDDEN)
    optimizer = torch.optim.SGD(cell.parameters(), 0.01)
    x, times = torch.randn(CALLS, BATCH, INPUTS), []
    with tempfile.TemporaryDirectory() as root:
        recorder = graddiag.watch(cell, optimizer, run="cells", root=root) if watched else None
        for _ in range(_STEPS):
            began = time.process_time()
            loss = _loss(cell, x, mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            times.append(1_000 * (time.process_time() - began))
        if recorder is not None:
            recorder.close()
    return statistics.median(times[_WARM:])


def _loss(cell: nn.LSTMCell, x: Tensor, mask: Tensor | None) -> Tensor:
    state, total = None, torch.zeros(())
    for x_t in x:
        if state is not None and mask is not None:
            state = (state[0] * mask, state[1] * mask)
        state = cell(x_t, state)
        total = total + state[0].square().mean()
    return total


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, mask in (("handed on as it is", None), ("masked", torch.ones(BATCH, 1))):
        bare, watched = (cpu_milliseconds(mask, watched=each) for each in (False, True))
        print(
            f"{CALLS} LSTMCell calls, {name}: {bare:.0f} ms, recorded {watched:.0f} ms, added {watched - bare:.0f} ms"
        )
