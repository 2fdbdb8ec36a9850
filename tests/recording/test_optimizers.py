"""What ends a step: wrapped, several, replaced and unwatched optimizers, against the gradients of a plain loop."""

import gc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

import graddiag
from tests.recording.optimizers import H, I, N, Parts, T, batch, is_clean, norm_of, parts

# several optimizers


def two_in_turn(
    model: Parts, recorder: graddiag.Recorder | None, a: Optimizer, b: Optimizer
) -> list[tuple[float, ...]]:
    """One backward pass and two updates a step, clipped apart."""
    seen = []
    for step in range(6):
        a.zero_grad()
        b.zero_grad()
        loss = (model(batch(step)) - 1).square().mean()
        loss.backward()
        before = norm_of(model)
        nn.utils.clip_grad_norm_(model.encoder.parameters(), 0.01)
        if recorder is not None:
            recorder.log(loss=loss)
        a.step()
        nn.utils.clip_grad_norm_(model.decoder.parameters(), 0.02)
        after = norm_of(model)
        b.step()
        seen.append((before, after, float(loss.detach())))
    return seen


def test_two_optimizers_share_a_step_each_with_its_own_clipping(tmp_path: Path) -> None:
    bare, model = parts(), parts()
    expected = two_in_turn(bare, None, Adam(bare.encoder.parameters()), SGD(bare.decoder.parameters(), 0.1))
    optimizers = [Adam(model.encoder.parameters()), SGD(model.decoder.parameters(), 0.1)]
    with graddiag.watch(model, optimizers, run="r", root=tmp_path) as recorder:
        assert two_in_turn(model, recorder, *optimizers) == expected
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), bare.parameters(), strict=True))
    assert is_clean(model, *optimizers)
    run = graddiag.load_run(recorder.path)
    steps = run.steps
    found = steps[["grad_norm", "grad_norm_clipped", "loss"]].to_numpy(dtype=float)
    assert found == pytest.approx(np.array(expected), rel=1e-6)
    assert steps[["lr", "lr_1"]].to_numpy().tolist() == [[1e-3, 0.1]] * 6
    assert (steps[["updates_0", "updates_1"]] == 1).all(axis=None)
    assert set(run.timesteps.module) == {"encoder", "decoder"}
    assert run.parameters.update_ratio.notna().all()
    assert (run.parameters.update_ratio > 0).all()
    assert run.manifest.optimizer["class"] == "Adam"
    assert run.manifest.optimizer["others"][0]["class"] == "SGD"
    assert run.manifest.not_in_optimizer == ()
    assert not len(run.events[run.events.kind != "first_clip"])


class Adversaries(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.GRU(I, H)
        self.critic = nn.LSTM(H, 1)


def adversarial(
    model: Adversaries, g: Optimizer, d: Optimizer, recorder: graddiag.Recorder | None, critics: int
) -> list[list[float]]:
    """The loop of DCGAN: the critic's loss on detached output, then the generator's through the critic. Gives the norms
    that each update used, a list a round."""
    rounds: list[list[float]] = []
    for step in range(6):
        fake = model.generator(batch(step))[0]
        d.zero_grad()
        d_loss = (model.critic(torch.ones(T, N, H))[0] - model.critic(fake.detach())[0]).mean()
        d_loss.backward()
        used = [norm_of(model.critic)]
        if recorder is not None:
            recorder.log(d_loss=d_loss)
        d.step()
        if (step + 1) % critics == 0:
            g.zero_grad()
            g_loss = model.critic(fake)[0].mean()
            g_loss.backward()
            used.append(norm_of(model.generator))
            if recorder is not None:
                recorder.log(g_loss=g_loss)
            g.step()
        rounds.append(used)
    return rounds


@pytest.mark.parametrize("critics", [1, 3])
def test_adversaries_are_one_step_a_round_and_each_gradient_is_that_of_its_own_update(
    critics: int, tmp_path: Path
) -> None:
    found = []
    for watched in (False, True):
        torch.manual_seed(2)
        model = Adversaries()
        d, g = SGD(model.critic.parameters(), 0.1), Adam(model.generator.parameters(), 0.01)
        if not watched:
            expected = adversarial(model, g, d, None, critics)
        else:
            with graddiag.watch(model, [d, g], run="r", root=tmp_path, every=2) as recorder:
                assert adversarial(model, g, d, recorder, critics) == expected
        found.append(model)
    assert all(torch.equal(p, q) for p, q in zip(*(m.parameters() for m in found), strict=True))
    run = graddiag.load_run(recorder.path)
    rounds = [used for used in expected if len(used) == 2]
    assert len(run.steps) == len(rounds) == 6 // critics
    norms = [float(torch.tensor(used, dtype=torch.float64).norm()) for used in rounds]
    assert run.steps.grad_norm.tolist() == pytest.approx(norms, rel=1e-6)
    assert run.steps[["updates_0", "updates_1"]].to_numpy().tolist() == [[critics, 1]] * len(rounds)
    assert run.steps[["d_loss", "g_loss"]].notna().all(axis=None)
    assert not (run.events.kind == "gradients_not_zeroed").any()
    assert not (run.events.kind == "no_gradient").any()
    assert (run.parameters.update_ratio > 0).all()
    assert set(run.timesteps.module) == {"generator", "critic"}
    calls = run.timesteps[run.timesteps.step == 0].groupby("module").call.nunique()
    assert calls["critic"] == 2 * critics + 1  # all passes whose gradients an update used, and that of the generator
    assert calls["generator"] == 1


def test_an_optimizer_that_rests_is_not_waited_for(tmp_path: Path) -> None:
    """The decoder alone, then both, then the encoder alone."""
    model = parts()
    a, b = SGD(model.encoder.parameters(), 0.1), SGD(model.decoder.parameters(), 0.1)
    with graddiag.watch(model, [a, b], run="r", root=tmp_path) as recorder:
        for step in range(40):
            model.zero_grad()
            model(batch(step)).square().mean().backward()
            recorder.log(loop=step)
            if step >= 15:
                a.step()
            if step < 30:
                b.step()
    run = graddiag.load_run(recorder.path)
    updates = run.steps[["updates_0", "updates_1"]].to_numpy().tolist()
    assert updates == [[0, 10]] + [[0, 1]] * 5 + [[1, 1]] * 15 + [[10, 0]]
    assert run.steps.loop.tolist() == [9, *range(10, 30), 39]
    rows = run.parameters[run.parameters.step == 1]
    of_encoder = rows.parameter.str.startswith("encoder")
    assert rows[of_encoder].grad_norm.isna().all()
    assert (rows[of_encoder].update_ratio == 0).all()  # it was not updated, which is known
    assert rows[~of_encoder][["update_ratio", "grad_norm"]].notna().all(axis=None)


def test_gradients_that_an_update_has_used_and_nobody_zeroes_are_noticed_for_each_optimizer(tmp_path: Path) -> None:
    model = parts()
    a, b = SGD(model.encoder.parameters(), 0.1), SGD(model.decoder.parameters(), 0.1)
    with graddiag.watch(model, [a, b], run="r", root=tmp_path) as recorder:
        for step in range(4):
            a.zero_grad()
            model(batch(step)).square().mean().backward()
            a.step()
            b.step()
    steps = graddiag.load_run(recorder.path).steps
    assert steps.gradients_not_zeroed.tolist() == [0, 4, 4, 4]  # of the decoder's four parameters


def test_rates_of_every_group_are_recorded(tmp_path: Path) -> None:
    model = parts()
    groups = [{"params": model.encoder.parameters(), "lr": 0.5}, {"params": model.decoder.parameters(), "lr": 0.25}]
    optimizer = SGD(groups, lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda k: 1.0, lambda k: 0.5**k])
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(3):
            model(batch(step)).square().mean().backward()
            optimizer.step()
            schedule.step()
    run = graddiag.load_run(recorder.path)
    assert run.steps[["lr", "lr_1"]].to_numpy().tolist() == [[0.5, 0.25], [0.5, 0.125], [0.5, 0.0625]]
    assert run.manifest.optimizer["rates"] == [0.5, 0.25]


@pytest.mark.parametrize("first", [True, False])
def test_an_update_of_an_optimizer_that_is_not_watched_is_measured_and_never_0(first: bool, tmp_path: Path) -> None:
    model = parts()
    watched, other = SGD(model.decoder.parameters(), 0.1), SGD(model.encoder.parameters(), 0.1)
    ratios = []
    with graddiag.watch(model, watched, run="r", root=tmp_path) as recorder:
        for step in range(4):
            watched.zero_grad()
            other.zero_grad()
            model(batch(step)).square().mean().backward()
            if first:
                watched.step()
            before = [p.detach().double() for p in model.encoder.parameters()]
            other.step()
            after = [p.detach().double() for p in model.encoder.parameters()]
            ratios.append([float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)])
            if not first:
                watched.step()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 4
    rows = run.parameters[run.parameters.parameter.str.startswith("encoder")]
    found = [rows[rows.step == step].update_ratio.tolist() for step in range(4)]
    if first:  # the other one's update comes when the step has ended, and counts for the next
        assert (rows[rows.step == 0].update_ratio == 0).all()
        found, ratios = found[1:], ratios[:-1]
    assert found == [pytest.approx(each, rel=1e-3) for each in ratios]
    assert "parameters-not-updated" not in [each.name for each in graddiag.diagnose(run).findings]


def test_a_parameter_that_only_the_user_updates_by_hand_has_no_update_ratio(tmp_path: Path) -> None:
    model = parts()
    optimizer = SGD(model.decoder.parameters(), 0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(4):
            model.zero_grad()
            model(batch(step)).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                for parameter in model.encoder.parameters():
                    parameter -= 0.1 * parameter.grad
    run = graddiag.load_run(recorder.path)
    rows = run.parameters[run.parameters.parameter.str.startswith("encoder")]
    assert rows[rows.step > 0].update_ratio.isna().all()
    assert (rows[rows.step == 0].update_ratio == 0).all()
    assert rows.grad_norm.notna().all()
    assert "parameters-not-updated" not in [each.name for each in graddiag.diagnose(run).findings]


def test_muon_owns_the_matrices_alone(tmp_path: Path) -> None:
    model = nn.LSTM(I, H)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    for name, given in (("one", [torch.optim.Muon(matrices)]), ("two", [torch.optim.Muon(matrices), AdamW(others)])):
        with graddiag.watch(model, given[0] if len(given) == 1 else given, run=name, root=tmp_path) as recorder:
            for step in range(3):
                model.zero_grad()
                model(batch(step))[0].square().mean().backward()
                for optimizer in given:
                    optimizer.step()
        rows = graddiag.load_run(recorder.path).parameters
        of_matrices = rows.parameter.str.startswith("weight")
        assert rows[of_matrices].update_ratio.notna().all()
        assert (rows[~of_matrices].update_ratio == 0).all() == (name == "one")


# one optimizer in place of another


def test_an_optimizer_that_is_made_anew_over_the_same_parameters_is_followed(tmp_path: Path) -> None:
    bare, model = parts(), parts()

    def train(net: Parts, optimizer: Optimizer) -> list[float]:
        norms = []
        for step in range(9):
            if step == 3:
                optimizer = AdamW(net.parameters(), 0.02)
            optimizer.zero_grad()
            net(batch(step)).square().mean().backward()
            norms.append(norm_of(net))
            optimizer.step()
        return norms

    expected = train(bare, SGD(bare.parameters(), 0.1))
    first = SGD(model.parameters(), 0.1)
    with graddiag.watch(model, first, run="r", root=tmp_path) as recorder:
        assert train(model, first) == expected
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), bare.parameters(), strict=True))
    assert is_clean(model, first)
    run = graddiag.load_run(recorder.path)
    # the first update of the new one may be a warm-up's, and is no step
    assert run.steps.grad_norm.tolist() == pytest.approx(expected[:3] + expected[4:], rel=1e-6)
    assert run.timesteps.step.nunique() == 8
    assert run.timesteps.call.nunique() == 1
    assert run.steps.lr.tolist() == [0.1] * 3 + [0.02] * 5
    rows = run.parameters.groupby("step").update_ratio.count()
    assert [int(rows.get(step, 0)) > 0 for step in range(8)] == [True] * 3 + [False] + [True] * 4
    events = run.events[run.events.kind == "optimizer_replaced"]
    assert events.step.tolist() == [3]
    assert "AdamW" in events.message.iloc[0]


def kept() -> int:
    """How many tensors there are."""
    gc.collect()
    return sum(isinstance(each, Tensor) for each in gc.get_objects())


def discarding(model: nn.Module, steps: int, update: Callable[[], None]) -> None:
    for step in range(steps):
        model.zero_grad()
        model(batch(step)).square().mean().backward()
        update()


def test_a_watched_optimizer_that_never_steps_is_said_once_and_nothing_is_kept(tmp_path: Path) -> None:
    """The update is made by hand, as by an engine that torch knows nothing of."""
    model = parts()
    optimizer = SGD(model.parameters(), 0.1)

    def by_hand() -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
            discarding(model, 12, by_hand)
            after = kept()
            discarding(model, 40, by_hand)
            assert kept() <= after + 2
    assert sum("optimizer.step() was never called on SGD" in str(each.message) for each in caught) == 1
    assert is_clean(model, optimizer)
    run = graddiag.load_run(recorder.path)
    assert (run.events.kind == "no_update").sum() == 1
    assert len(run.steps) == 0
    diagnosis = graddiag.diagnose(run)
    assert diagnosis.verdict == "not-measured"
    assert "optimizer.step() was never called" in str(diagnosis)


def test_few_passes_without_an_update_are_said_when_the_run_ends(tmp_path: Path) -> None:
    model = parts()
    with (
        pytest.warns(RuntimeWarning, match=r"3 backward passes came and optimizer\.step\(\) was never called"),
        graddiag.watch(model, SGD(model.parameters(), 0.1), run="r", root=tmp_path) as recorder,
    ):
        discarding(model, 3, lambda: None)
    assert graddiag.load_run(recorder.path).events.kind.tolist() == ["no_update"]


def test_an_update_after_many_discarded_passes_is_a_step_again(tmp_path: Path) -> None:
    model = parts()
    optimizer = SGD(model.parameters(), 0.1)
    recorder = graddiag.watch(model, optimizer, run="r", root=tmp_path)
    with pytest.warns(RuntimeWarning, match="never called"):
        discarding(model, 10, lambda: None)
    discarding(model, 3, optimizer.step)
    recorder.close()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 3
    assert sorted(run.timesteps.step.unique()) == [1, 2]


def test_long_accumulation_is_no_missing_update(tmp_path: Path) -> None:
    model = nn.GRU(I, H)
    optimizer = SGD(model.parameters(), 0.1)
    with graddiag.watch(model, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(40):
            (model(batch(step))[0].square().mean() / 20).backward()
            if step % 20 == 19:
                optimizer.step()
                optimizer.zero_grad()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 2
    assert run.timesteps.call.nunique() == 20
