"""The declarations of the clip policies against the policies themselves, and against the manual."""

from pathlib import Path

import pytest
import torch

from graddiag import clipping
from graddiag.clipping import registry
from graddiag.clipping.declaration import PolicyKind
from graddiag.figures.theme import PALETTES

EVERY_POLICY = pytest.mark.parametrize("kind", registry.POLICIES, ids=lambda kind: kind.name)
WRITTEN = ["none", "norm:1", "norm:1:inf", "norm:1:2", "value:5", "value:5:nan=0", "bptt:2", "bptt:2:norm"]


def example(kind: PolicyKind) -> str:
    return kind.name if kind.number is None else f"{kind.name}:{kind.number.example}"


@pytest.mark.parametrize("text", [*WRITTEN, " norm:1", "tbptt:20.0", "auto:10", "zclip", "agc:0.01"])
def test_a_text_in_one_spelling_is_what_the_policy_writes(text: str) -> None:
    assert registry.normalized(text) == str(clipping.parse(text))


@pytest.mark.parametrize("text", [None, "", "clipped by hand", "norm", "norm:x", "norm:0", "tbptt:1.5", "nrom:1"])
def test_free_text_names_no_policy(text: str | None) -> None:
    assert registry.read(text) is None


def test_what_a_run_says_first_is_enough_to_know_the_policy() -> None:
    kinds = [registry.kind_of(text) for text in ("norm:by hand", "normal", None)]
    assert [kind and kind.name for kind in kinds] == ["norm", None, None]


@EVERY_POLICY
def test_a_policy_keeps_the_direction_where_it_says_so(kind: PolicyKind) -> None:
    policy = clipping.parse(example(kind))
    weights = [torch.nn.Parameter(torch.ones(1, 1, dtype=torch.float64)) for _ in range(2)]
    for before in [(0.6, 0.8)] * 130 + [(30.0, 0.01)]:
        for weight, gradient in zip(weights, before, strict=True):
            weight.grad = torch.full_like(weight, gradient)
        policy(weights)
    after = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
    cosine = torch.cosine_similarity(torch.tensor(before, dtype=torch.float64), after, dim=0).item()
    assert (cosine == pytest.approx(1.0, abs=1e-9)) == (kind.keeps_direction is not False)
    assert hasattr(policy, "transform_gradient") == kind.acts_inside


@EVERY_POLICY
def test_a_policy_has_a_place_among_the_colors(kind: PolicyKind) -> None:
    assert all(kind.style < len(palette.arms) for palette in PALETTES.values())


@EVERY_POLICY
def test_help_and_refusal_name_the_policy(kind: PolicyKind) -> None:
    assert f"{kind.forms[0].form}, {kind.help}" in registry.help_text()
    assert kind.forms[0].form in registry.known_forms().split(", ")


def test_only_a_threshold_on_the_norm_is_one() -> None:
    found = [registry.check(text).norm_threshold for text in ("norm:2:inf", "value:2", "auto:10", "none")]
    assert found == [2.0, None, None, None]
    assert [registry.check(text).window for text in ("tbptt:5", "bptt:5")] == [5, None]


def test_the_table_of_the_manual_is_the_registry() -> None:
    text = (Path(__file__).parent.parent / "docs" / "clipping.md").read_text()
    _, _, table = text.partition("|---|---|---|\n")
    rows = [
        "|".join(["", f" `{form}` ", f" {does} ", f" {source} " if source else " ", ""])
        for form, does, source in registry.table()
    ]
    assert table.partition("\n\n")[0].splitlines() == rows


def test_an_old_name_says_the_new_one() -> None:
    with pytest.warns(DeprecationWarning, match="now called ThresholdSweep"):
        assert clipping.Looked is clipping.ThresholdSweep
