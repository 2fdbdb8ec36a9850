"""States that go through operations between calls, recorded and judged; and which backward pass counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import graddiag
from graddiag import schema
from graddiag.run import Run

T, N, I, H, STEPS = 12, 3, 4, 8, 6


class Policy(nn.Module):
    """A recurrent policy that forgets where an episode ends, with a value for the last timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(I, H)
        self.head = nn.Linear(H, 1)

    def forward(self, x: Tensor, going: Tensor, change: Callable[[Tensor], Tensor] = lambda h: h) -> Tensor:
        state = None
        for x_t, m in zip(x, going, strict=True):
            state = None if state is None else tuple(change(s * m.unsqueeze(1)) for s in state)
            state = self.cell(x_t, state)
        return self.head(state[0]).square().mean()


def recorded(
    tmp_path: Path, step: Callable[[Policy, torch.optim.Optimizer, Tensor], Tensor], steps: int = STEPS
) -> Run:
    """A short training, whose parameters are the same bits unwatched."""
    trained = []
    for watched in (True, False):
        torch.manual_seed(0)
        model = Policy()
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        recorder = graddiag.watch(model, optimizer, run="linked", root=tmp_path) if watched else None
        for number in range(steps):
            torch.manual_seed(number)
            loss = step(model, optimizer, torch.randn(T, N, I))
            if recorder is not None:
                recorder.log(loss=loss)
            optimizer.step()
        if recorder is not None:
            recorder.close()
        trained.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*trained, strict=True))
    return graddiag.load_run(tmp_path / "linked")


def plain(going: Tensor, change: Callable[[Tensor], Tensor] = lambda h: h) -> Callable[..., Tensor]:
    def step(model: Policy, optimizer: torch.optim.Optimizer, x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model(x, going, change)
        loss.backward()
        return loss

    return step


def test_an_episode_that_ends_for_all_is_neither_a_cut_nor_a_vanishing_gradient(tmp_path: Path) -> None:
    going = torch.ones(T, N)
    going[5] = 0.0
    run = recorded(tmp_path, plain(going))
    first = run.timesteps[run.timesteps[schema.STEP] == 0].sort_values(schema.TIMESTEP)
    assert first[schema.CALL].nunique() == 1
    assert first[schema.MEMORY_ENDED].tolist() == [1.0] * 5 + [0.0] * 7
    assert (first[schema.GRAD_H].to_numpy()[:5] == 0).all()
    found = graddiag.diagnose(run)
    assert found.finding("truncated-reach") is None
    assert found.finding("vanishing") is None
    assert found.verdict == "not-judged"


def test_a_state_that_is_not_followed_is_said_once_and_claimed_nothing_of(tmp_path: Path) -> None:
    def long(h: Tensor) -> Tensor:
        for _ in range(2_100):
            h = h * 1.0
        return h

    run = recorded(tmp_path, plain(torch.ones(T, N), long), steps=2)
    assert run.timesteps[schema.CALL].nunique() == T
    events = run.events[run.events[schema.KIND] == schema.EVENT_GAIN_MISSING]
    assert events[schema.WHERE].tolist() == ["cell"]
    assert "2,000 operations" in events[schema.MESSAGE].iloc[0]
    found = graddiag.diagnose(run)
    assert found.finding("truncated-reach") is None
    assert "2,000 operations" in str(found.full())
    assert "detach" not in found.full().replace("h-detach", "")


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


def test_a_gain_that_is_not_known_is_missing_and_the_totals_are_there(tmp_path: Path) -> None:
    run = recorded(tmp_path, plain(torch.ones(T, N), Scaled.apply))
    first = run.timesteps[run.timesteps[schema.STEP] == 0]
    assert first[schema.TRANSPORT_GAIN].notna().sum() == 1
    assert (first[schema.GRAD_H] > 0).all()
    assert "custom autograd function" in run.events[schema.MESSAGE].iloc[0]


def accumulated(between: Callable[[Policy], object]) -> Callable[..., Tensor]:
    """Two micro-batches with something done to the gradient between them."""

    def step(model: Policy, optimizer: torch.optim.Optimizer, x: Tensor) -> Tensor:
        optimizer.zero_grad()
        going = torch.ones(T, N)
        model(x, going).backward()
        between(model)
        loss = model(2 * x, going)
        loss.backward()
        return loss

    return step


def test_clipping_between_micro_batches_leaves_the_norm_before_unknown(tmp_path: Path) -> None:
    run = recorded(tmp_path, accumulated(lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1e-3)))
    assert run.steps[schema.GRAD_NORM].isna().all()
    assert run.steps[schema.GRAD_NORM_CLIPPED].notna().all()
    (message,) = run.events[run.events[schema.KIND] == schema.EVENT_GRADIENT_CHANGED][schema.MESSAGE]
    assert "Clip once" in message


@pytest.mark.parametrize("between", [lambda model: None, lambda model: model.cell.weight_hh.grad.sum()])
def test_accumulation_alone_has_its_norm(tmp_path: Path, between: Callable[[Policy], object]) -> None:
    run = recorded(tmp_path, accumulated(between))
    assert run.steps[schema.GRAD_NORM].notna().all()
    assert schema.EVENT_GRADIENT_CHANGED not in set(run.events[schema.KIND])
    assert run.timesteps[run.timesteps[schema.STEP] == 0][schema.CALL].nunique() == 2


@pytest.mark.parametrize("to_none", [True, False])
def test_a_pass_that_was_zeroed_does_not_add_to_the_step(tmp_path: Path, to_none: bool) -> None:
    """One of both calls is left, and nothing counts as changed."""
    run = recorded(tmp_path, accumulated(lambda model: model.zero_grad(set_to_none=to_none)))
    first = run.timesteps[run.timesteps[schema.STEP] == 0]
    assert first[schema.CALL].nunique() == 1
    assert run.steps[schema.GRAD_NORM].notna().all()
    assert schema.EVENT_GRADIENT_CHANGED not in set(run.events[schema.KIND])


def test_gradients_that_fill_no_parameter_are_left_out(tmp_path: Path) -> None:
    """As adversarial training and GradNorm take them, before backward()."""

    def step(model: Policy, optimizer: torch.optim.Optimizer, x: Tensor) -> Tensor:
        optimizer.zero_grad()
        x.requires_grad_()
        loss = model(x, torch.ones(T, N))
        torch.autograd.grad(loss, [x, model.cell.weight_hh], retain_graph=True)
        loss.backward()
        return loss

    (tmp_path / "both").mkdir()
    (tmp_path / "one").mkdir()
    both = recorded(tmp_path / "both", step)
    alone = recorded(tmp_path / "one", plain(torch.ones(T, N)))
    for column in (schema.GRAD_H, schema.GRAD_H_DIRECT, schema.TRANSPORT_GAIN, schema.GRAD_W_HH):
        torch.testing.assert_close(
            torch.tensor(both.timesteps[column].astype(float).to_numpy()),
            torch.tensor(alone.timesteps[column].astype(float).to_numpy()),
            rtol=1e-5,
            atol=1e-9,
            equal_nan=True,
        )


class Parts(nn.Module):
    """A layer over parts of a sequence, each in a reentrant checkpoint; the state before the first one is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(I, H)
        self.h0 = nn.Parameter(torch.zeros(1, 1, H))
        self.head = nn.Linear(H, 1)

    def forward(self, x: Tensor, parts: int, *, checkpointed: bool = True) -> Tensor:
        h = self.h0.expand(1, x.shape[1], H).contiguous()
        for part in x.chunk(parts):
            run = lambda part, h: self.rnn(part, h)[1]  # noqa: E731
            h = checkpoint(run, part, h, use_reentrant=True) if checkpointed else run(part, h)
        return self.head(h).square().mean()


@pytest.mark.parametrize(("parts", "passes"), [(3, 1), (1, 2)])
def test_parts_in_reentrant_checkpoints_are_recorded_in_order_and_said_to_be_apart(
    parts: int, passes: int, tmp_path: Path
) -> None:
    found = {}
    for checkpointed in (False, True):
        torch.manual_seed(0)
        model = Parts()
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        with graddiag.watch(model, optimizer, run=f"{checkpointed}", root=tmp_path):
            for _ in range(passes):
                model(torch.randn(T, N, I), parts, checkpointed=checkpointed).backward()
            optimizer.step()
        found[checkpointed] = graddiag.load_run(tmp_path / f"{checkpointed}")
    one, other = (found[each].timesteps.sort_values([schema.CALL, schema.TIMESTEP]) for each in (False, True))
    assert other[schema.GRAD_H].tolist() == pytest.approx(one[schema.GRAD_H].tolist(), rel=1e-5)
    notes = {note.name: note.sentence for note in graddiag.diagnose(found[True]).notes}
    assert ("gain-missing" in notes) == (parts > 1)
    assert "use_reentrant=False" in notes.get("gain-missing", "use_reentrant=False")
    assert not graddiag.diagnose(found[True]).finding("truncated-reach")
