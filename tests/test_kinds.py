"""The declarations of the kinds of cell fit together, and with their equations and layers."""

from typing import get_args

import pytest

from graddiag import kinds, nn, schema
from graddiag.cells import CELLS


def test_every_kind_has_equations_a_layer_and_a_name_that_settings_take() -> None:
    assert {cell.type.name for cell in CELLS.values()} == set(kinds.CELL_TYPES)
    assert set(nn.LAYERS) == set(kinds.CELL_TYPES) == set(get_args(kinds.ModelKind))


@pytest.mark.parametrize("kind", kinds.CELL_TYPES.values(), ids=lambda kind: kind.name)
def test_a_letter_means_the_same_gate_in_every_kind(kind: kinds.CellType) -> None:
    for gate in kind.gates:
        assert kinds.GATES[gate.name] == gate
    assert kinds.type_by_gates(kind.gate_names) is kind


@pytest.mark.parametrize("kind", kinds.CELL_TYPES.values(), ids=lambda kind: kind.name)
def test_the_gate_that_keeps_the_state_is_one_of_its_gates(kind: kinds.CellType) -> None:
    if kind.keeping is not None:
        named = {kind.keeping.name, kind.keeping.entering or kind.keeping.name}
        assert named <= set(kind.gate_names) & schema.SIGMOID_GATES


def test_gates_of_no_known_kind_are_not_taken_for_one() -> None:
    assert kinds.type_by_gates({"i", "f"}) is None
