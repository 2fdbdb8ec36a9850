"""What is kept of a step that is not recorded is what a recorded one has: norms, counts, sizes and scalars."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import graddiag
from graddiag import schema
from graddiag.run import numbers

NEVER = 1000
KEPT = (
    schema.GRAD_NORM, schema.GRAD_NORM_CLIPPED, schema.CLIP_COEFFICIENT, schema.NONFINITE, schema.GRADIENTS_NOT_ZEROED,
    schema.UNREACHED_MODULES, schema.UPDATES_SKIPPED, schema.BATCH_SIZE, schema.SEQUENCE_LENGTH, schema.LR, schema.LOSS,
)  # fmt: skip


class Tagger(nn.Module):
    def __init__(self, *, sparse: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4, sparse=sparse)
        self.rnn = nn.LSTM(4, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0])


def clip_by_norm(model: nn.Module) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 0.05)


def clip_data_by_value(model: nn.Module) -> None:
    """As old code does it: a version counter does not notice."""
    for parameter in model.parameters():
        parameter.grad.data.clamp_(-0.01, 0.01)


def poison(model: nn.Module) -> None:
    model.head.bias.grad[1] = torch.nan


def let_go(model: nn.Module) -> None:
    model.head.bias.grad = None


def keep(_: nn.Module) -> None:
    return None


def nan_loss(loss: Tensor, step: int) -> Tensor:
    return loss * torch.nan if step == 3 else loss


def recorded(
    root: Path,
    every: int,
    change: Callable[[nn.Module], None],
    *,
    passes: int = 1,
    zero: bool | None = True,
    spoil: Callable[[Tensor, int], Tensor] = lambda loss, _: loss,
    sparse: bool = False,
) -> pd.DataFrame:
    """The table of steps of a training of six steps. zero: to None, to 0 (False), or not at all (None)."""
    torch.manual_seed(1)
    model, x = Tagger(sparse=sparse), torch.randint(9, (7, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with graddiag.watch(model, optimizer, run=f"every-{every}", root=root, every=every) as recorder:
        for step in range(6):
            if zero is not None:
                optimizer.zero_grad(set_to_none=zero)
            for _ in range(passes):
                loss = spoil(nn.functional.cross_entropy(model(x).flatten(0, 1), x.flatten() % 3), step)
                loss.backward()
            change(model)
            recorder.log(loss=loss)
            optimizer.step()
    return graddiag.load_run(root / f"every-{every}").steps


CASES = {
    "unclipped": {"change": keep},
    "clipped by norm": {"change": clip_by_norm},
    "clipped by value through .data": {"change": clip_data_by_value},
    "two passes": {"change": clip_by_norm, "passes": 2},
    "zeroed in place": {"change": clip_by_norm, "zero": False},
    "never zeroed": {"change": keep, "zero": None},
    "a gradient that is NaN": {"change": keep, "spoil": nan_loss},
    "changed to NaN": {"change": poison},
    "sparse": {"change": keep, "sparse": True},
}


@pytest.mark.filterwarnings("ignore:The gradient was")
@pytest.mark.parametrize("case", CASES)
def test_every_step_has_what_a_recorded_step_has(case: str, tmp_path: Path) -> None:
    full, bare = (recorded(tmp_path, every, **CASES[case]) for every in (1, NEVER))
    assert bare[schema.STEP].tolist() == list(range(6))
    for column in KEPT:
        (values, missing), (expected, unknown) = numbers(bare[column]), numbers(full[column])
        assert missing.tolist() == unknown.tolist(), column
        assert values.tolist() == pytest.approx(expected.tolist(), rel=1e-12, nan_ok=True), column


def test_a_gradient_that_is_let_go_of_before_the_update_has_no_part_in_either_norm(tmp_path: Path) -> None:
    """Of the first such step the norms are missing: what the others had before is not known any more."""
    full, bare = (recorded(tmp_path, every, let_go) for every in (1, NEVER))
    values, missing = numbers(bare[schema.GRAD_NORM])
    assert missing.tolist() == [False, True, False, False, False, False]
    expected, _ = numbers(full[schema.GRAD_NORM])
    assert values[~missing].tolist() == pytest.approx(expected[~missing].tolist(), rel=1e-12)
    assert (bare[schema.CLIP_COEFFICIENT].dropna() == 1).all()
