"""Batch size and timesteps of a step, at every one, whatever the layout of the data."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import graddiag
from graddiag import schema


def padded(model: nn.Module, T: int, N: int) -> Tensor:
    return model(torch.randn(T, N, 3))[0]


def batch_first(model: nn.Module, T: int, N: int) -> Tensor:
    return model(torch.randn(N, T, 3))[0]


def unbatched(model: nn.Module, T: int, N: int) -> Tensor:
    return model(torch.randn(T, 3))[0]


def by_keyword(model: nn.Module, T: int, N: int) -> Tensor:
    return model(input=torch.randn(T, N, 3))[0]


def packed(model: nn.Module, T: int, N: int) -> Tensor:
    sequences = [torch.randn(max(1, T - n), 3) for n in range(N)]
    return model(pack_sequence(sequences))[0].data


def one_at_a_time(model: nn.Module, T: int, N: int) -> Tensor:
    state = None
    for _ in range(T):
        output, state = model(torch.randn(1, N, 3), state)
    return output


def cell(model: nn.Module, T: int, N: int) -> Tensor:
    state = None
    for _ in range(T):
        state = model(torch.randn(N, 3), state)
    return state


LSTM, CELL = (lambda: nn.LSTM(3, 4)), (lambda: nn.GRUCell(3, 4))


@pytest.mark.parametrize(
    ("build", "forward", "batched"),
    [
        (LSTM, padded, True),
        (lambda: nn.LSTM(3, 4, batch_first=True), batch_first, True),
        (LSTM, unbatched, False),
        (LSTM, by_keyword, True),
        (LSTM, packed, True),
        (LSTM, one_at_a_time, True),
        (CELL, cell, True),
        (lambda: graddiag.nn.GRU(3, 4), padded, True),
    ],
)
def test_sizes_of_each_step(
    build: Callable[[], nn.Module], forward: Callable[[nn.Module, int, int], Tensor], batched: bool, tmp_path: Path
) -> None:
    model = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sizes = [(5, 2), (5, 2), (7, 3), (7, 2), (9, 4)]
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, every=3):
        for T, N in sizes:
            optimizer.zero_grad()
            forward(model, T, N).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                forward(model, 11, 13)
    steps = graddiag.load_run(tmp_path / "r").steps
    assert steps[schema.SEQUENCE_LENGTH].tolist() == [T for T, _ in sizes]
    assert steps[schema.BATCH_SIZE].tolist() == [N if batched else 1 for _, N in sizes]


def test_sizes_that_nobody_knows_are_missing_and_what_was_logged_counts(tmp_path: Path) -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path, cells=()) as recorder:
        for step in range(2):
            model(torch.randn(4, 3)).sum().backward()
            if step:
                recorder.log(batch_size=4)
            optimizer.step()
    steps = graddiag.load_run(tmp_path / "r").steps
    assert steps[schema.SEQUENCE_LENGTH].isna().all()
    assert steps[schema.BATCH_SIZE].isna().tolist() == [True, False]
    assert steps[schema.BATCH_SIZE].iloc[1] == 4
