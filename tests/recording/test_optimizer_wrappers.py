"""Optimizers in another object, of a user's own and what is none: what ends a step, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

import graddiag
from graddiag.errors import GraddiagError, SettingError
from tests.recording.optimizers import Parts, batch, is_clean, norm_of, parts


class Sharpness(Optimizer):
    """SAM as most repositories have it: ``step`` with a closure, or first_step and second_step by hand."""

    def __init__(self, params: Any, base: type[Optimizer], rho: float = 0.05, **settings: Any) -> None:
        super().__init__(params, dict(rho=rho, **settings))
        self.base_optimizer = base(self.param_groups, **settings)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["e"] = p.grad * 0.01
                p.add_(self.state[p]["e"])
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(self.state[p]["e"])
        self.base_optimizer.step()
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.first_step()
        with torch.enable_grad():
            closure()
        self.second_step()


@pytest.mark.parametrize("given", ["outer", "base"])
@pytest.mark.parametrize("by_closure", [True, False])
def test_sam_has_one_step_for_two_passes_however_it_is_called(given: str, by_closure: bool, tmp_path: Path) -> None:
    def train(net: Parts, optimizer: Sharpness) -> list[float]:
        norms = []
        for step in range(4):

            def second(step: int = step) -> None:
                net(batch(step)).square().mean().backward()
                norms.append(norm_of(net))

            net(batch(step)).square().mean().backward()
            if by_closure:
                optimizer.step(second)
            else:
                optimizer.first_step()
                second()
                optimizer.second_step()
        return norms

    bare, model = parts(), parts()
    expected = train(bare, Sharpness(bare.parameters(), SGD, lr=0.1))
    optimizer = Sharpness(model.parameters(), SGD, lr=0.1)
    watched = optimizer if given == "outer" else optimizer.base_optimizer
    with graddiag.watch(model, watched, run="r", root=tmp_path) as recorder:
        assert train(model, optimizer) == expected
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), bare.parameters(), strict=True))
    assert is_clean(model, optimizer, optimizer.base_optimizer)
    run = graddiag.load_run(recorder.path)
    assert run.steps.grad_norm.tolist() == pytest.approx(expected, rel=1e-6)
    assert not (run.events.kind == "optimizer_replaced").any()
    assert ("base_optimizer.step()" in str(graddiag.diagnose(run))) == (given == "outer")


@pytest.mark.parametrize("settings", [{"foreach": True}, {"foreach": False}, {"fused": True}], ids=str)
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_implementations_of_torchs_optimizers_are_one_and_the_same(
    kind: type[Optimizer], settings: dict[str, bool], tmp_path: Path
) -> None:
    nets = parts(), parts()
    for net, watched in zip(nets, (False, True), strict=True):
        optimizer = kind(net.parameters(), lr=0.1, **settings)
        recorder = graddiag.watch(net, optimizer, run="r", root=tmp_path) if watched else None
        for step in range(3):
            optimizer.zero_grad()
            net(batch(step)).square().mean().backward()
            optimizer.step()
        if recorder is not None:
            recorder.close()
    assert all(torch.equal(p, q) for p, q in zip(*(net.parameters() for net in nets), strict=True))
    run = graddiag.load_run(tmp_path / "r")
    assert len(run.steps) == 3
    assert (run.parameters.update_ratio > 0).all()


class Plain:
    """A user's optimizer that knows nothing of torch.optim."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        self.param_groups = [{"params": list(params), "lr": lr}]

    def zero_grad(self) -> None:
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self) -> None:
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= self.param_groups[0]["lr"] * p.grad


class Holder:
    """A wrapper that nobody knows, around an optimizer."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner
        self.param_groups = inner.param_groups

    def step(self) -> None:
        self.inner.step()


class Lookahead(Optimizer):
    """One that forgets to initialize torch's class."""

    def __init__(self, base: Optimizer) -> None:
        self.base_optimizer = base
        self.param_groups = base.param_groups


def refused(net: Parts) -> dict[str, tuple[Any, str]]:
    sgd = SGD(net.parameters(), 0.1)
    return {
        "plain": (Plain(net.parameters()), r"a Plain, which is no torch.optim.Optimizer.*recorder.step\(\)"),
        "holder": (Holder(sgd), r"It holds one: pass `optimizer.inner` \(SGD\)"),
        "lookahead": (Lookahead(sgd), r"pass `optimizer.base_optimizer` \(SGD\)"),
        "class": (SGD, "a type"),
        "parameters": (net.parameters(), "a generator"),
        "empty": ([], "the list of optimizers is empty"),
        "none in a list": ([None], "a NoneType"),
        "one wrong in a list": ([sgd, Plain(net.parameters())], "a Plain"),
        "twice": ([sgd, sgd], "both optimizers hold the same parameter"),
        "shared": ([sgd, Adam(net.encoder.parameters())], "both optimizers hold the same parameter"),
        "another model's": (SGD(parts().parameters(), 0.1), "holds none of the model's"),
    }


@pytest.mark.parametrize("kind", refused(Parts()))
def test_what_is_no_optimizer_is_refused_by_name_before_anything_is_opened(kind: str, tmp_path: Path) -> None:
    net = parts()
    given, message = refused(net)[kind]
    with pytest.raises(SettingError, match=message):
        graddiag.watch(net, given, run="r", root=tmp_path / "runs")
    assert not list(tmp_path.iterdir())
    inner = getattr(given, "inner", getattr(given, "base_optimizer", None))
    assert is_clean(net, *([inner] if isinstance(inner, Optimizer) else []))


def test_a_users_own_optimizer_is_recorded_by_recorder_step(tmp_path: Path) -> None:
    net = parts()
    optimizer = Plain(net.parameters())
    with graddiag.watch(net, run="r", root=tmp_path) as recorder:
        for step in range(3):
            optimizer.zero_grad()
            net(batch(step)).square().mean().backward()
            optimizer.step()
            recorder.step()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 3
    assert (run.parameters.update_ratio > 0).all()


def test_a_scheduler_stands_for_its_optimizer(tmp_path: Path) -> None:
    net = parts()
    optimizer = SGD(net.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with graddiag.watch(net, schedule, run="r", root=tmp_path) as recorder:
        for step in range(3):
            net(batch(step)).square().mean().backward()
            optimizer.step()
            schedule.step()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 3
    assert run.manifest.optimizer["wrapper"] == "StepLR"


def test_a_step_that_raises_does_not_hide_the_next(tmp_path: Path) -> None:
    class Failing(SGD):
        fails = True

        def step(self, closure: Any = None) -> None:
            if self.fails:
                raise MemoryError("once")
            super().step(closure)

    net = parts()
    optimizer = Failing(net.parameters(), 0.1)
    with graddiag.watch(net, optimizer, run="r", root=tmp_path) as recorder:
        for step in range(3):
            optimizer.zero_grad()
            net(batch(step)).square().mean().backward()
            try:
                optimizer.step()
            except MemoryError:
                optimizer.fails = False
    assert len(graddiag.load_run(recorder.path).steps) == 2


def failing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken")


@pytest.mark.parametrize("place", ["layers.LayerMeter", "outputs.OutputMeter", "updates.UpdateListener"])
def test_an_attach_that_fails_leaves_neither_a_hook_nor_a_run(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = parts()
    optimizer = SGD(net.parameters(), 0.1)
    monkeypatch.setattr(f"graddiag.recording.step_recorder.{place.partition('.')[2]}", failing)
    with pytest.raises((GraddiagError, RuntimeError), match="broken"):
        graddiag.watch(net, optimizer, run="r", root=tmp_path, experiment="e")
    assert is_clean(net, optimizer)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("package", "name", "attribute"),
    [("fastai.optimizer", "OptimWrapper", "opt"), ("lightning.fabric.wrappers", "_FabricOptimizer", "optimizer")],
)
def test_wrappers_are_known_by_package_and_name(package: str, name: str, attribute: str, tmp_path: Path) -> None:
    """The form of their wrappers is all that is relied on; with the libraries: tests/third_party and integrations."""
    net = parts()
    optimizer = SGD(net.parameters(), 0.1)
    wrapper = type(name, (), {"__module__": package, attribute: optimizer, "step": lambda self: optimizer.step()})()
    with graddiag.watch(net, wrapper, run="r", root=tmp_path) as recorder:
        for step in range(3):
            net(batch(step)).square().mean().backward()
            wrapper.step()
    run = graddiag.load_run(recorder.path)
    assert len(run.steps) == 3
    assert run.manifest.optimizer["wrapper"] == name
