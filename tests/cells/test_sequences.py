"""Padded blocks by hand, and listeners that come and go."""

import pytest
import torch

from graddiag.cells import current_observer, observing
from graddiag.cells.sequences import add_at_last, flip, last, valid

LENGTHS = torch.tensor([3, 1, 2])
BLOCK = torch.tensor([[1.0, 2, 3], [4, 0, 5], [6, 0, 0]]).unsqueeze(-1)  # [T, N, 1]


def test_valid_is_true_inside_each_sequence() -> None:
    assert valid(LENGTHS, 3).tolist() == [[True, True, True], [True, False, True], [True, False, False]]


def test_flip_turns_each_sequence_round_and_leaves_the_padding() -> None:
    assert flip(BLOCK, LENGTHS).squeeze(-1).tolist() == [[6, 2, 5], [4, 0, 3], [1, 0, 0]]
    assert torch.equal(flip(flip(BLOCK, LENGTHS), LENGTHS), BLOCK)
    assert flip(BLOCK, None).squeeze(-1).tolist() == [[6, 0, 0], [4, 0, 5], [1, 2, 3]]


def test_last_is_the_end_of_each_sequence_and_a_tensor_of_its_own() -> None:
    assert last(BLOCK, LENGTHS).tolist() == [[6], [2], [5]]
    alone = last(BLOCK, None)
    assert alone.tolist() == [[6], [0], [0]]
    assert alone.data_ptr() != BLOCK[-1].data_ptr()


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [(LENGTHS, [[1, 22, 3], [4, 0, 35], [16, 0, 0]]), (None, [[1, 2, 3], [4, 0, 5], [16, 20, 30]])],
)
def test_add_at_last_adds_where_each_sequence_ends(lengths: torch.Tensor | None, expected: list[list[int]]) -> None:
    before = BLOCK.clone()
    assert add_at_last(BLOCK, torch.tensor([[10.0], [20], [30]]), lengths).squeeze(-1).tolist() == expected
    assert torch.equal(BLOCK, before)


def test_add_at_last_works_on_what_arrives_expanded() -> None:
    ones = torch.ones(1, 1, 1).expand(3, 3, 1)
    assert add_at_last(ones, torch.ones(3, 1), LENGTHS).sum() == 12


def test_a_listener_is_in_force_inside_the_with_alone() -> None:
    def inner(call: object) -> None: ...

    def outer(call: object) -> None: ...

    def fails() -> None:
        with observing(inner):
            assert current_observer() is inner
            raise ValueError("from inside")

    assert current_observer() is None
    with observing(outer):
        with pytest.raises(ValueError, match="from inside"):
            fails()
        assert current_observer() is outer
    assert current_observer() is None
