"""Recurrent layers rebuilt from the weights of a checkpoint alone, and data out of files; nothing is run."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from graddiag.checkpoint import load_modules, load_sequences
from graddiag.errors import InputError, SettingError, UnsupportedError
from tests.needs import needs
from tests.nn.nets import projection_warning

F64 = torch.float64


class Model(nn.Module):
    """Recurrent modules of every kind, and parts that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.lstm = nn.LSTM(4, 6, num_layers=2, bidirectional=True)
        self.inner = nn.ModuleDict({"gru": nn.GRU(12, 5, bias=False, batch_first=True)})
        self.rnn = nn.RNN(4, 3)
        self.cell = nn.LSTMCell(4, 7)
        self.head = nn.Linear(5, 2)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model()


def assert_rebuilt(found: dict[str, nn.RNNBase], model: Model) -> None:
    assert list(found) == ["cell", "inner.gru", "lstm", "rnn"]
    for name, original in (("lstm", model.lstm), ("inner.gru", model.inner["gru"]), ("rnn", model.rnn)):
        x = torch.randn(6, 3, original.input_size)
        truth = original(x.movedim(0, 1) if original.batch_first else x)[0]
        mine = found[name](x.double())[0]
        torch.testing.assert_close(mine.float(), truth.movedim(0, 1) if original.batch_first else truth)
        assert mine.dtype == F64
    x = torch.randn(3, 4)
    torch.testing.assert_close(found["cell"](x.double().unsqueeze(0))[0][0].float(), model.cell(x)[0])


def test_every_layer_computes_what_the_models_did(model: Model, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    assert_rebuilt(load_modules(tmp_path / "weights.pt"), model)
    assert list(load_modules(tmp_path / "weights.pt", only=["rnn"])) == ["rnn"]


def test_weights_one_level_down_in_the_state_of_a_training(model: Model, tmp_path: Path) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    state = {"epoch": 3, "optimizer": optimizer.state_dict(), "model": model.state_dict()}
    torch.save(state, tmp_path / "training.ckpt")
    assert_rebuilt(load_modules(tmp_path / "training.ckpt"), model)


def test_safetensors(model: Model, tmp_path: Path) -> None:
    needs("safetensors", "transformers")
    from safetensors.torch import save_file

    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    assert_rebuilt(load_modules(tmp_path / "weights.safetensors"), model)
    (tmp_path / "cut.safetensors").write_bytes(b"no header")
    with pytest.raises(InputError, match=r"checkpoint .*cut\.safetensors: it is no file of safetensors"):
        load_modules(tmp_path / "cut.safetensors")
    with pytest.raises(InputError, match=r"checkpoint .*none\.safetensors: it cannot be read"):
        load_modules(tmp_path / "none.safetensors")


@projection_warning
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_model_that_is_a_projected_lstm(bidirectional: bool, tmp_path: Path) -> None:
    lstm = nn.LSTM(4, 6, proj_size=2, num_layers=2, bidirectional=bidirectional, dtype=F64)
    torch.save(lstm.state_dict(), tmp_path / "lstm.pt")
    x = torch.randn(5, 2, 4, dtype=F64)
    torch.testing.assert_close(load_modules(tmp_path / "lstm.pt")[""](x)[0], lstm(x)[0])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid", "identity"])
def test_an_rnns_nonlinearity_is_told(nonlinearity: str, tmp_path: Path) -> None:
    rnn, x = nn.RNN(2, 3, dtype=F64), torch.randn(1, 1, 2, dtype=F64)
    torch.save(rnn.state_dict(), tmp_path / "rnn.pt")
    a = x @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + rnn.bias_hh_l0
    expected = a if nonlinearity == "identity" else getattr(torch, nonlinearity)(a)
    torch.testing.assert_close(load_modules(tmp_path / "rnn.pt", nonlinearity=nonlinearity)[""](x)[0], expected)
    with pytest.raises(SettingError, match=r"nonlinearity 'swish': use one of tanh, .*, truncated-relu\."):
        load_modules(tmp_path / "rnn.pt", nonlinearity="swish")


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1/0",)


def test_code_in_a_checkpoint_is_not_run(model: Model, tmp_path: Path) -> None:
    for name, what in (("harmful", {"weight_hh_l0": Harmful()}), ("whole", model)):
        torch.save(what, tmp_path / name)
        with pytest.raises(
            InputError, match=rf"{name}: it cannot be read as weights alone \(UnpicklingError\); a pick"
        ):
            load_modules(tmp_path / name)
    torch.save(Harmful(), tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: it is neither an array"):
        load_sequences(tmp_path / "x.pt")
    np.save(tmp_path / "x.npy", np.array([Harmful()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"x\.npy: it is neither an array"):
        load_sequences(tmp_path / "x.npy")


def test_what_is_no_checkpoint_of_a_recurrent_model(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(InputError, match=r"linear\.pt: no recurrent weight .* but keys \['bias', 'weight'\]"):
        load_modules(tmp_path / "linear.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(InputError, match=r"tensor\.pt: no recurrent weight .* but a Tensor"):
        load_modules(tmp_path / "tensor.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match=r"text\.pt: it cannot be read as weights alone"):
        load_modules(tmp_path / "text.pt")
    with pytest.raises(InputError, match=r"none\.pt: it cannot be read \(No such file"):
        load_modules(tmp_path / "none.pt")
    torch.save(nn.RNN(2, 3).state_dict(), tmp_path / "rnn.pt")
    with pytest.raises(SettingError, match=r"module 'lstm': .* it holds \[''\]"):
        load_modules(tmp_path / "rnn.pt", only=["lstm"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_hh_l0": torch.ones(6, 3)}, r"weight_hh_l0 is \[6, 3\]; an RNN has H rows, .*a GRU 3H, an LSTM 4H"),
        ({"weight_hh_l0": torch.ones(7, 3)}, r"weight_hh_l0 is \[7, 3\]"),
        ({"weight_ih_l0": None}, r"has matrices weight_ih_l0 and weight_hh_l0; found"),
        ({"bias_hh_l0": torch.ones(5)}, r"\(model\): rnn, 2 features, H=3: its weights do not fit together"),
    ],
)
def test_shapes_that_are_no_layers(changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path) -> None:
    weights = {**nn.RNN(2, 3).state_dict(), **changes}
    torch.save({name: value for name, value in weights.items() if value is not None}, tmp_path / "odd.pt")
    with pytest.raises(UnsupportedError, match=message):
        load_modules(tmp_path / "odd.pt")


@pytest.mark.parametrize("home", [np, torch])
def test_data_of_one_and_of_many_sequences(home: ModuleType, tmp_path: Path) -> None:
    for shape, expected in (((5, 3, 2), (5, 3, 2)), ((5, 2), (5, 1, 2))):
        values = np.arange(np.prod(shape)).reshape(shape)
        if home is np:
            np.save(tmp_path / "x.npy", values.astype("float32"))
        else:
            torch.save(torch.tensor(values), tmp_path / "x.pt")
        found = load_sequences(tmp_path / ("x.npy" if home is np else "x.pt"))
        assert (found.shape, found.dtype) == (expected, F64)
        np.testing.assert_array_equal(found.numpy().ravel(), values.ravel())


def test_data_of_another_shape_or_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(5))
    with pytest.raises(InputError, match=r"flat\.npy: its shape is \[5\]; what goes into .* \[T, N, features\]"):
        load_sequences(tmp_path / "flat.npy")
    torch.save(torch.ones(0, 2, 3), tmp_path / "empty.pt")
    with pytest.raises(InputError, match=r"empty\.pt: its shape is \[0, 2, 3\]"):
        load_sequences(tmp_path / "empty.pt")
    torch.save({"x": torch.ones(3)}, tmp_path / "dict.pt")
    with pytest.raises(InputError, match=r"dict\.pt: found dict; save one array of numbers"):
        load_sequences(tmp_path / "dict.pt")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    with pytest.raises(InputError, match=r"words\.npy: found ndarray; save one array of numbers"):
        load_sequences(tmp_path / "words.npy")
    with pytest.raises(InputError, match=r"none\.npy: it cannot be read \(No such file"):
        load_sequences(tmp_path / "none.npy")
