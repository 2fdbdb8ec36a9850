"""What cannot be meant is refused by graddiag.nn in the words of torch.nn."""

from typing import Any

import pytest
import torch
from torch import Tensor, zeros
from torch.nn.utils.rnn import pack_sequence

import graddiag
from graddiag.errors import SettingError

CLASSES = ["RNN", "LSTM", "GRU"]


def both(name: str, settings: dict[str, Any], *args: Any) -> list[str]:
    """What torch.nn and graddiag.nn say."""
    said = []
    for home in (torch.nn, graddiag.nn):
        with pytest.raises(Exception, match=r".") as caught:  # the types are compared below
            getattr(home, name)(3, 4, **settings)(*args)
        said.append(f"{caught.type.__name__}: {caught.value}")
    return said


def state(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Any:
    return (zeros(shape, dtype=dtype), zeros(shape, dtype=dtype)) if name == "LSTM" else zeros(shape, dtype=dtype)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "x",
    [
        pytest.param(zeros(2, 2, 2, 3), id="4-dimensions"),
        pytest.param(zeros(3), id="1-dimension"),
        pytest.param(zeros(5, 2, 7), id="input-size"),
        pytest.param(zeros(5, 7), id="input-size-unbatched"),
        pytest.param(zeros(5, 2, 3, dtype=torch.float64), id="dtype"),
        pytest.param(zeros(5, 2, 3, dtype=torch.int64), id="integers"),
        pytest.param(zeros(0, 2, 3), id="no-timestep"),
        pytest.param(None, id="none"),
    ],
)
def test_inputs(name: str, x: Tensor | None) -> None:
    torchs, ours = both(name, {}, x)
    assert ours == torchs


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("settings", "x", "shape"),
    [
        pytest.param({}, (5, 2, 3), (1, 4), id="dimensions"),
        pytest.param({}, (5, 3), (1, 1, 4), id="dimensions-unbatched"),
        pytest.param({}, (5, 2, 3), (1, 3, 4), id="batch"),
        pytest.param({"batch_first": True}, (2, 5, 3), (1, 5, 4), id="batch-first"),
        pytest.param({}, (5, 2, 3), (1, 2, 5), id="size"),
        pytest.param({"num_layers": 2}, (5, 2, 3), (1, 2, 4), id="layers"),
        pytest.param({"bidirectional": True}, (5, 2, 3), (1, 2, 4), id="directions"),
        pytest.param({}, (5, 3), (2, 4), id="layers-unbatched"),
    ],
)
def test_initial_states(name: str, settings: dict[str, Any], x: tuple[int, ...], shape: tuple[int, ...]) -> None:
    torchs, ours = both(name, settings, zeros(x), state(name, *shape))
    assert ours == torchs


def test_cell_state_of_another_size_than_the_projection() -> None:
    given = (zeros(1, 2, 4), zeros(1, 2, 4))
    torchs, ours = both("LSTM", {"proj_size": 2}, zeros(5, 2, 3), given)
    assert ours == torchs


@pytest.mark.parametrize("name", ["RNN", "GRU"])
@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 2, 5)])
def test_initial_states_of_packed_sequences(name: str, shape: tuple[int, ...]) -> None:
    torchs, ours = both(name, {}, pack_sequence([zeros(4, 3), zeros(2, 3)]), state(name, *shape))
    assert ours == torchs


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 2, 5)])
def test_initial_states_of_packed_sequences_are_checked_for_the_lstm_too(shape: tuple[int, ...]) -> None:
    """Where torch's own LSTM looks no further and fails in a matrix product."""
    packed = pack_sequence([zeros(4, 3), zeros(2, 3)])
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 2, 4\)"):
        graddiag.nn.LSTM(3, 4)(packed, state("LSTM", *shape))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("settings", [{"dropout": 2.0}, {"num_layers": 0}, {"dropout": "x"}])
def test_settings(name: str, settings: dict[str, Any]) -> None:
    torchs, ours = both(name, settings, zeros(5, 2, 3))
    assert ours == torchs


def test_nonlinearity_that_does_not_exist() -> None:
    with pytest.raises(SettingError, match="'softsign' is unknown; known are tanh, relu, sigmoid, identity"):
        graddiag.nn.RNN(3, 4, nonlinearity="softsign")


def test_initial_state_of_another_dtype_than_the_weights() -> None:
    """torch.nn refuses it in a matrix product; here the state is cast, and the result is right."""
    rnn, h0 = graddiag.nn.RNN(3, 4), torch.randn(1, 2, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(rnn(x, h0)[0], torch.nn.RNN.forward(_as_torch(rnn), x, h0.float())[0])


def _as_torch(rnn: torch.nn.RNN) -> torch.nn.RNN:
    same = torch.nn.RNN(3, 4)
    same.load_state_dict(rnn.state_dict())
    return same
