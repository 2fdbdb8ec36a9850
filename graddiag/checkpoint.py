"""Recurrent layers and data out of files: a checkpoint's weights rebuilt as modules, without the code of the model.

Only tensors are read, never code: ``torch.load(weights_only=True)``, safetensors, and numpy without pickle.
"""

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from graddiag import nn as instrumented
from graddiag.errors import InputError, MissingLibraryError, SettingError, UnsupportedError
from graddiag.kinds import CELL_TYPES, NONLINEARITIES, CellType, Nonlinearity

Modules = dict[str, nn.RNNBase]

_W_HH: Final = re.compile(r"(?:(?P<module>.*)\.)?weight_hh(?:_l(?P<layer>\d+))?(?P<reverse>_reverse)?")
_UNREADABLE: Final = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError)


@dataclass(frozen=True)
class Layout:
    """One recurrent module as the shapes of its weights tell it; ``projection`` is P, 0 without one."""

    module: str
    kind: CellType
    input_size: int
    hidden_size: int
    projection: int
    layers: int
    bidirectional: bool
    bias: bool

    @property
    def label(self) -> str:
        return f"{self.module or '(model)'}: {self.kind.name}, {self.input_size} features, H={self.hidden_size}"


def load_modules(path: str | Path, *, only: Sequence[str] = (), nonlinearity: Nonlinearity = "tanh") -> Modules:
    """The recurrent modules in a checkpoint by qualified name, in float64, each with its layers and directions.

    A ``state_dict`` as ``torch.save`` writes it, by itself or one level down in a dict of a training's state, or a
    file of safetensors. Shapes tell the kind: 4H rows are an LSTM, 3H a GRU, H an RNN. A cell counts as one layer.

    Args:
        only: names of the modules that are wanted; all of them by default.
        nonlinearity: of the RNNs, which no checkpoint tells.

    Raises:
        SettingError: an unknown nonlinearity, or a module that the checkpoint does not hold.
        InputError: the file cannot be read as weights, or holds no recurrent layer.
        UnsupportedError: weights whose shapes are no RNN's, LSTM's or GRU's.
        MissingLibraryError: it is a file of safetensors, and the library is not installed.
    """
    if nonlinearity not in NONLINEARITIES:
        raise SettingError(f"nonlinearity {nonlinearity!r}: use one of {', '.join(NONLINEARITIES)}.")
    weights = _recurrent(_read_weights(Path(path)), Path(path))
    names = sorted({_parts(name)[0] for name in weights if _W_HH.fullmatch(name)})
    unknown = [name for name in only if name not in names]
    if unknown:
        raise SettingError(f"module {unknown[0]!r}: {path} holds no such recurrent module; it holds {names}.")
    return {name: _rebuilt(name, weights, nonlinearity) for name in names if not only or name in only}


def load_sequences(path: str | Path) -> Tensor:
    """The input of a recurrent module out of a ``.npy`` or ``.pt`` file: [T, N, I] float64; [T, I] is one sequence.

    Raises:
        InputError: the file cannot be read, holds no single array of numbers, or one of another shape.
    """
    file = Path(path)
    try:
        found = np.load(file, allow_pickle=False) if file.suffix == ".npy" else _torch_load(file)
    except OSError as error:
        raise InputError(f"data {path}: it cannot be read ({error.strerror or error}).") from error
    except _UNREADABLE as error:
        raise InputError(
            f"data {path}: it is neither an array as numpy.save writes it (.npy) nor a tensor as torch.save does (.pt) "
            f"({type(error).__name__})."
        ) from error
    data = torch.from_numpy(found) if isinstance(found, np.ndarray) and found.dtype.kind in "fiu" else found
    if not isinstance(data, Tensor) or data.is_complex() or data.dtype == torch.bool:
        raise InputError(f"data {path}: found {type(found).__name__}; save one array of numbers, [T, N, features].")
    if data.dim() not in (2, 3) or not data.numel():
        raise InputError(
            f"data {path}: its shape is {list(data.shape)}; what goes into the recurrent layer is [T, N, features], "
            "timesteps first, after any embedding."
        )
    return (data if data.dim() == 3 else data.unsqueeze(1)).detach().double()


def _read_weights(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        return _torch_load(path)
    except OSError as error:
        raise InputError(f"checkpoint {path}: it cannot be read ({error.strerror or error}).") from error
    except _UNREADABLE as error:
        raise InputError(
            f"checkpoint {path}: it cannot be read as weights alone ({type(error).__name__}); a pickled model is not "
            "loaded, since that runs its code. Save the weights: torch.save(model.state_dict(), FILE)."
        ) from error


def _torch_load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingLibraryError(
            f"checkpoint {path}: safetensors is not installed ({error}); `pip install safetensors` brings it."
        ) from error
    try:
        return load_file(path)
    except OSError as error:
        raise InputError(f"checkpoint {path}: it cannot be read ({error.strerror or error}).") from error
    except SafetensorError as error:
        raise InputError(f"checkpoint {path}: it is no file of safetensors ({_first_line(error)}).") from error


def _recurrent(found: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of the one mapping that holds recurrent weights: the checkpoint itself, or a value of it."""
    mappings = [found, *found.values()] if isinstance(found, Mapping) else []
    held = [one for one in mappings if isinstance(one, Mapping) and any(_is_w_hh(*item) for item in one.items())]
    if not held:
        what = f"keys {sorted(map(str, found))[:5]}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise InputError(
            f"checkpoint {path}: no recurrent weight was found (e.g. weight_hh_l0), but {what}. It has to be the "
            "state_dict of a model with a torch.nn RNN, LSTM or GRU, or hold one."
        )
    return {name: value for name, value in held[0].items() if isinstance(name, str) and isinstance(value, Tensor)}


def _is_w_hh(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and _W_HH.fullmatch(name) is not None


def _parts(name: str) -> tuple[str, str]:
    """The module and the parameter of a qualified name."""
    module, _, parameter = name.rpartition(".")
    return module, parameter


def _rebuilt(module: str, weights: Mapping[str, Tensor], nonlinearity: Nonlinearity) -> nn.RNNBase:
    own = {_parts(name)[1]: value.double() for name, value in weights.items() if _parts(name)[0] == module}
    if "weight_hh" in own:  # a cell
        own = {f"{name}_l0": value for name, value in own.items()}
    own = {
        name: value for name, value in own.items() if re.fullmatch(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?", name)
    }
    layout = _layout(module, own)
    made = _module(layout, nonlinearity)
    try:
        made.load_state_dict(own)
    except RuntimeError as error:
        raise UnsupportedError(
            f"module {layout.label}: its weights do not fit together ({_first_line(error)})."
        ) from error
    return made.requires_grad_(False)


def _layout(module: str, own: Mapping[str, Tensor]) -> Layout:
    try:
        (rows, width), (_, features) = own["weight_hh_l0"].shape, own["weight_ih_l0"].shape
    except (KeyError, ValueError) as error:
        raise UnsupportedError(
            f"module {module or '(model)'!r}: a recurrent layer has matrices weight_ih_l0 and weight_hh_l0; found "
            f"{ {name: list(value.shape) for name, value in own.items()} }."
        ) from error
    gates, left = divmod(rows, width)
    projected = "weight_hr_l0" in own
    fitting = [kind for kind in CELL_TYPES.values() if kind.projects or not projected]
    kind = next((kind for kind in fitting if projected or (not left and len(kind.gates) == gates)), None)
    if kind is None:
        raise UnsupportedError(
            f"module {module or '(model)'!r}: weight_hh_l0 is {[rows, width]}; {_rows()} for H columns."
        )
    layers = 1 + max(int(found["layer"]) for found in map(_W_HH.fullmatch, own) if found is not None)
    hidden, projection = rows // len(kind.gates), width if projected else 0
    return Layout(module, kind, features, hidden, projection, layers, _has(own, "_reverse"), _has(own, "bias_"))


def _rows() -> str:
    """How many rows W_hh has, by kind: an RNN has H rows, a GRU 3H, an LSTM 4H."""
    (_, first), *others = sorted((len(kind.gates), kind.with_article) for kind in CELL_TYPES.values())
    return ", ".join((f"{first} has H rows", *(f"{kind} {count}H" for count, kind in others)))


def _has(own: Mapping[str, Tensor], part: str) -> bool:
    return any(part in name for name in own)


def _module(layout: Layout, nonlinearity: Nonlinearity) -> nn.RNNBase:
    settings: dict[str, Any] = {"num_layers": layout.layers, "bidirectional": layout.bidirectional, "bias": layout.bias}
    sizes = (layout.input_size, layout.hidden_size)
    if layout.kind.nonlinearities:
        settings["nonlinearity"] = nonlinearity
    if layout.projection:
        settings["proj_size"] = layout.projection
    return instrumented.LAYERS[layout.kind.name](*sizes, dtype=torch.float64, **settings)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else type(error).__name__
