"""What ``recorder.log`` takes: numbers, each checked when it is logged."""

from typing import Any

import numpy as np
from torch import Tensor

from graddiag.errors import SettingError
from graddiag.recording.step_measures import Scalar
from graddiag.store import check_scalar_name
from graddiag.tracing.model_hook import is_transformed
from graddiag.tracing.storage import is_shard


def checked_scalar(name: str, value: Any) -> Scalar:
    """The value as a step keeps it: a float, None, or a copy of a 0-dim tensor on an accelerator, which is not waited
    for.

    NaN and inf are values. Whatever ``float`` takes is a number, a tensor or array of one element too; text is not.

    Raises:
        SettingError: the name is taken, or the value is no single number, or none that a float holds.
    """
    check_scalar_name(name)
    if value is None:
        return None
    if isinstance(value, Tensor):
        return _checked_tensor(name, value)
    if isinstance(value, str | bytes):
        raise _refusal(name, f"the text {value[:40]!r}", "a number; text belongs into watch(config=...)")
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, complex | np.complexfloating):
        raise _refusal(name, f"a {type(value).__name__}", f"a real number: {name}=abs(value), for example")
    try:
        return float(value)
    except OverflowError as error:
        raise _refusal(name, "a number that is too large for a float", "its logarithm, for example") from error
    except (TypeError, ValueError) as error:
        raise _refusal(name, _shape_of(value), "a number, its mean for example") from error


def _checked_tensor(name: str, value: Tensor) -> Scalar:
    if is_shard(value):
        return _checked_tensor(name, _local(name, value))
    if value.numel() != 1:
        raise _refusal(name, f"a tensor of shape {tuple(value.shape)}", f"a number: {name}=value.mean(), for example")
    if value.is_complex():
        raise _refusal(name, f"a tensor of dtype {value.dtype}", f"a real number: {name}=value.abs(), for example")
    if value.is_cpu and not is_transformed():
        return float(value.detach().item())
    return value.detach().reshape(()).clone()


def _local(name: str, value: Any) -> Tensor:
    """The value of a DTensor that each rank has; finding that of another is a collective, which may wait for ever."""
    if value.numel() == 1 and not all(each.is_replicate() for each in value.placements):
        raise _refusal(name, "a DTensor, of which each rank has a part", f"{name}=value.full_tensor(), in every rank")
    local: Tensor = value.to_local()
    return local


def _shape_of(value: Any) -> str:
    shape = getattr(value, "shape", None)
    of = f" of shape {tuple(shape)}" if shape is not None else ""
    return f"a {type(value).__name__}{of}"


def _refusal(name: str, found: str, wanted: str) -> SettingError:
    return SettingError(f"recorder.log({name}=...): found {found}. Log {wanted}.")
