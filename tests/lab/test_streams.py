"""A text read in order: every window goes on where the last one ended, as the reader of the PTB tutorial cuts it."""

import pytest
import torch

from graddiag.lab.streams import contiguous, windows_in


def test_windows_go_on_where_the_last_one_ended() -> None:
    found = list(contiguous(torch.arange(23), length=3, streams=2))
    assert [batch.goes_on for batch in found] == [False, True, True]
    assert [batch.inputs[:, 0].tolist() for batch in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [batch.inputs[:, 1].tolist() for batch in found] == [[11, 12, 13], [14, 15, 16], [17, 18, 19]]
    assert all(torch.equal(batch.targets, batch.inputs + 1) for batch in found)
    assert windows_in(23, 3, 2) == 3


@pytest.mark.parametrize("symbols", [2, 3, 5, 7, 8, 9, 40])
@pytest.mark.parametrize("streams", [1, 2, 4])
def test_a_short_text_is_read_all_the_same(symbols: int, streams: int) -> None:
    found = list(contiguous(torch.arange(symbols), length=3, streams=streams))
    assert found
    assert all(torch.equal(batch.targets, batch.inputs + 1) for batch in found)
    assert all(batch.inputs.numel() > 0 for batch in found)


def test_the_epoch_of_the_tutorial() -> None:
    """929,589 words of PTB, batch 20: 2,323 steps of 20, 1,327 of 35."""
    assert (windows_in(929_589, 20, 20), windows_in(929_589, 35, 20)) == (2323, 1327)
