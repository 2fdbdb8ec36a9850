"""Norms of many tensors in one call: by parameter, and of all together."""

import math

import pytest
import torch

from graddiag.recording import norms
from graddiag.recording.norms import ByParameter, norm_together, norms_of


def some(*sizes: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {f"p{place}": scale * torch.randn(size) for place, size in enumerate(sizes)}


@pytest.mark.parametrize("flat", [0, 10**6])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_all_together_are_the_root_of_the_sum_of_squares(
    flat: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norms, "_FLAT", flat)
    tensors = some(3, 1, 40, scale=scale)
    expected = math.sqrt(sum(float(each.double().square().sum()) for each in tensors.values()))
    assert norm_together(list(tensors.values())).item() == pytest.approx(expected, rel=1e-12)
    assert norms_of(tensors).total().item() == pytest.approx(expected, rel=1e-12)


def test_dtypes_may_differ_and_a_graph_is_let_go_of() -> None:
    tensors = {"a": torch.tensor([3.0], dtype=torch.float16), "b": torch.tensor([4.0], requires_grad=True) * 1}
    for found in (norm_together(list(tensors.values())), norms_of(tensors).total()):
        assert found.item() == 5.0
        assert not found.requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_inf_are_kept(bad: float) -> None:
    tensors = {"a": torch.ones(3), "b": torch.tensor([bad])}
    assert norms_of(tensors)["a"].item() == pytest.approx(math.sqrt(3))
    assert norm_together(list(tensors.values())).item() == pytest.approx(bad, nan_ok=True)


def test_numbers_by_parameter_are_selected_joined_and_aligned() -> None:
    early = ByParameter(("a", "b", "c"), torch.tensor([1.0, 2.0, 3.0]))
    assert dict(early.only({"c", "a"})) == {"a": 1.0, "c": 3.0}
    assert early.only(("a", "b", "c")) is early
    assert early.without(["b"]).names == ("a", "c")
    late = early.joined(ByParameter(("b", "d"), torch.tensor([5.0, 6.0])))
    assert dict(late) == {"a": 1.0, "c": 3.0, "b": 5.0, "d": 6.0}
    assert late.at(("d", "a")).tolist() == [6.0, 1.0]
    assert ByParameter().joined(early).names == early.joined(ByParameter()).names == early.names
    with pytest.raises(KeyError, match="d"):
        early["d"]
