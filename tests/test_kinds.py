"""The declarations of the kinds of cell fit together, and with their equations and layers."""

from typing import get_args

import pytest
import torch

from graddiag import kinds, nn, schema
from graddiag.cells import CELLS, type_of


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


@pytest.mark.parametrize("kind", kinds.CELL_TYPES.values(), ids=lambda kind: kind.name)
def test_a_module_is_of_its_kind_whatever_its_class_is_called(kind: kinds.CellType) -> None:
    layer = nn.LAYERS[kind.name]
    renamed = type("Renamed", (layer,), {})
    assert type_of(layer(2, 3)) is type_of(renamed(2, 3)) is kind


def test_torchs_own_layers_and_cells_have_a_kind_and_others_have_none() -> None:
    for name in ("RNN", "LSTM", "GRU"):
        layer, cell = getattr(torch.nn, name)(2, 3), getattr(torch.nn, f"{name}Cell")(2, 3)
        assert type_of(layer) is type_of(cell) is kinds.CELL_TYPES[name.lower()]
    assert type_of(torch.nn.RNNBase("GRU", 2, 3)) is kinds.CELL_TYPES["gru"]
    assert type_of(torch.nn.Linear(2, 3)) is None
