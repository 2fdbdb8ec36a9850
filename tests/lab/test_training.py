"""The training loop: a pair parts at its first clipped step and not before, and each way to end leaves a true run."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from graddiag import load_run, schema
from graddiag.errors import InputError, SettingError
from graddiag.lab import Plan, StepSeen, TrainingSpec, plan_pair, plan_run, train, training, training_spec
from graddiag.lab.spec import TaskName
from graddiag.lab.tasks import make_task, tasks_with
from tests.needs import needs

SMALL: dict[str, Any] = {"steps": 12, "length": 12, "batch": 4, "hidden": 8}


def of_its_length(task: str) -> dict[str, int]:
    """The length of a task that has one alone."""
    if "digits" not in task:
        return {}
    needs("sklearn", "digits")
    return {"length": 64}


def parameters_of(plan: Plan, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[dict[str, Tensor]]]:
    """Trains, and gives the run's folder and the parameters after each step."""
    models = kept_models(monkeypatch)
    after: list[dict[str, Tensor]] = []

    def copy(seen: StepSeen) -> None:
        after.append({name: tensor.clone() for name, tensor in models[-1].state_dict().items()})

    return train(plan, root, copy).path, after


def kept_models(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """The models that trainings make from now on, as they are made."""
    models: list[torch.nn.Module] = []

    class Kept(training.SequenceModel):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            models.append(self)

    monkeypatch.setattr(training, "SequenceModel", Kept)
    return models


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru"])
def test_the_arms_of_a_pair_are_one_until_the_first_clipped_step(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gentle = {**SMALL, "lr": 0.3, "init_std": 0.1}  # the largest norm comes some steps after the start
    free = training_spec("text", model, **gentle)
    path, after_free = parameters_of(plan_run(free), tmp_path, monkeypatch)
    norms = load_run(path).steps[schema.GRAD_NORM]
    parting = int(norms[4:].idxmax())
    threshold = (norms[parting] + norms[:parting].max()) / 2
    assert norms[:parting].max() < threshold < norms[parting]

    _, on = plan_pair(training_spec("text", model, clip=f"norm:{threshold}", **gentle), [0], "pair")
    path, after_on = parameters_of(on, tmp_path, monkeypatch)
    assert all(equal(after_free[step], after_on[step]) for step in range(parting))
    assert not equal(after_free[parting], after_on[parting])
    clipped = load_run(path).steps[schema.CLIP_COEFFICIENT] < 1
    assert int(clipped.idxmax()) == parting


@pytest.mark.parametrize("task", get_args(TaskName))
def test_a_sum_is_over_the_timesteps_that_answer(task: str, tmp_path: Path) -> None:
    size = {"steps": 1, "length": 20, "batch": 4, "hidden": 8} | of_its_length(task)
    specs = [training_spec(task, "rnn", loss=reduction, **size) for reduction in ("mean", "sum")]
    mean, summed = (load_run(train(plan_run(spec), tmp_path / spec.loss).path) for spec in specs)
    asked = {"text": 20, "words": 20, "memorisation": 20 + 20, "selective-copy": 4, "associative-recall": 4}
    if task == "dyck":
        targets = make_task(specs[0]).batch(torch.Generator().manual_seed(0))[1]
        asked[task] = int((targets >= 0).sum()) / 4
    answers = asked.get(task, 1)
    assert summed.steps["loss"].iloc[0] == pytest.approx(answers * mean.steps["loss"].iloc[0], rel=1e-5)
    reduction = "sum over timesteps, mean over batch" if answers > 1 else mean.manifest.loss_reduction
    assert summed.manifest.loss_reduction == reduction
    assert ("chance_loss" in summed.manifest.config) == (answers == 1 and "chance_loss" in mean.manifest.config)


def test_equal_specs_give_equal_runs_whatever_was_drawn_before(tmp_path: Path) -> None:
    plan = plan_run(training_spec("temporal-order", "lstm", **SMALL))
    first = load_run(train(plan, tmp_path).path)
    torch.rand(3)
    second = load_run(train(plan, tmp_path).path)
    ours = [schema.LOSS, schema.GRAD_NORM, "error"]
    assert first.steps[ours].equals(second.steps[ours])
    assert first.timesteps.equals(second.timesteps)


def test_training_leaves_torchs_generator_and_threads_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(plan_run(training_spec("text", "rnn", threads=2, **SMALL)), tmp_path)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_a_run_says_what_it_is(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("the quick brown fox jumps over the lazy dog")
    spec = training_spec("text", "gru", clip="value:1", seed=4, text=text, **SMALL)
    trained = train(plan_run(spec, "own"), tmp_path / "runs")
    manifest = load_run(trained.path).manifest
    assert trained.path == tmp_path / "runs" / "own" / "gru-value-1.0-seed4"
    assert (manifest.status, manifest.experiment, manifest.arm) == ("finished", "own", "clip on")
    assert (manifest.task, manifest.model, manifest.clip, manifest.seed) == ("text", "gru", "value:1.0", 4)
    assert manifest.loss_reduction == "mean over batch and timesteps"
    assert json.loads((trained.path / "vocabulary.json").read_text()) == sorted(set(text.read_text()))
    assert TrainingSpec.model_validate({name: manifest.config[name] for name in TrainingSpec.model_fields}) == spec


def test_timesteps_are_recorded_at_every_nth_step_and_scalars_at_each(tmp_path: Path) -> None:
    run = load_run(train(plan_run(training_spec("temporal-order", "rnn", every=5, **SMALL)), tmp_path).path)
    assert run.steps[schema.STEP].tolist() == list(range(12))
    assert run.timesteps[schema.STEP].unique().tolist() == [0, 5, 10]
    assert run.timesteps[schema.TIMESTEP].unique().tolist() == list(range(12))
    assert run.steps["error"].between(0, 1).all()


@pytest.mark.parametrize(("on_nonfinite", "status", "steps"), [("continue", "finished", 12), ("stop", "failed", 5)])
def test_a_nan_is_recorded_and_the_run_goes_on_or_stops(
    on_nonfinite: str, status: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every parameter is NaN from step 4 on. A learning rate that is too large gives inf or NaN by processor."""
    models = kept_models(monkeypatch)

    def ruin(seen: StepSeen) -> None:
        if seen.step == 3:
            for parameter in models[-1].parameters():
                parameter.detach().fill_(torch.nan)

    trained = train(plan_run(training_spec("text", "rnn", on_nonfinite=on_nonfinite, **SMALL)), tmp_path, ruin)
    run = load_run(trained.path)
    assert run.manifest.status == status
    assert run.steps[schema.LOSS].isna().tolist() == [False] * 4 + [True] * (steps - 4)
    assert (trained.stopped is None) == (on_nonfinite == "continue")
    if trained.stopped:
        assert trained.stopped == run.manifest.error
        assert trained.stopped.startswith("step 4: loss nan, ")
    assert (run.events[schema.KIND] == schema.EVENT_NONFINITE).any()


def test_updates_with_nan_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedding of one symbol is NaN from step 4 on: what it had learned by then is left as it is."""
    models = kept_models(monkeypatch)
    kept: list[torch.Tensor] = []

    def ruin(seen: StepSeen) -> None:
        if seen.step == 3:
            models[-1].recurrent.register_forward_hook(lambda module, given, found: (found[0] * torch.nan, found[1]))
            kept.extend(parameter.detach().clone() for parameter in models[-1].parameters())

    spec = training_spec("text", "rnn", on_nonfinite="skip", **SMALL)
    with pytest.warns(RuntimeWarning, match="holds NaN or inf"):
        trained = train(plan_run(spec), tmp_path, ruin)
    run = load_run(trained.path)
    assert (run.manifest.status, len(run.steps), trained.stopped) == ("finished", 4, None)
    assert run.events.loc[run.events[schema.KIND] == schema.EVENT_UPDATE_SKIPPED, schema.VALUE].tolist() == [8.0]
    assert all(map(torch.equal, kept, models[-1].parameters()))


@pytest.mark.parametrize(("on_finding", "status"), [("print", "finished"), ("stop", "failed")])
def test_a_finding_is_printed_or_stops_the_training(
    on_finding: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("graddiag.alerts.checks.MOST_SHARE", 1e9)
    models = kept_models(monkeypatch)

    def ruin(seen: StepSeen) -> None:
        if seen.step == 3:
            for parameter in models[-1].parameters():
                parameter.detach().fill_(torch.nan)

    spec = training_spec("text", "rnn", on_finding=on_finding, check_every=2, **SMALL)
    trained = train(plan_run(spec), tmp_path, ruin)
    run = load_run(trained.path)
    assert run.manifest.status == status
    if on_finding == "print":
        assert ", step 5: BROKEN BY NaN OR INF." in capsys.readouterr().err
    else:
        assert str(trained.stopped) == run.manifest.error
        assert ", step 5: BROKEN BY NaN OR INF." in str(trained.stopped)
        assert len(run.steps) == 6


@pytest.mark.parametrize("task", [name for name in get_args(TaskName) if name not in tasks_with("text")])
@pytest.mark.parametrize("model", ["rnn", "lstm"])
def test_every_task_is_learned_from_and_recorded(task: str, model: str, tmp_path: Path) -> None:
    spec = training_spec(task, model, **SMALL | of_its_length(task), every=4)
    run = load_run(train(plan_run(spec), tmp_path).path)
    assert (run.manifest.task, run.manifest.status, len(run.steps)) == (task, "finished", 12)
    assert run.steps[schema.LOSS].between(0, 10).all()
    assert run.steps["error"].between(0, 1).all()
    assert run.timesteps[schema.GRAD_H].gt(0).any()
    assert "chance_loss" in run.manifest.config


def test_what_is_read_as_numbers_has_no_embedding(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="embedding 4: the task adding reads numbers; leave it out"):
        train(plan_run(training_spec("adding", "rnn", embedding=4, **SMALL)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_closes_the_run_as_interrupted(tmp_path: Path) -> None:
    def interrupt(seen: StepSeen) -> None:
        if seen.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan_run(training_spec("text", "rnn", **SMALL)), tmp_path, interrupt)
    run = load_run(tmp_path / "rnn-none-seed0")
    assert run.manifest.status == "interrupted"
    assert len(run.steps) == 4


def test_a_text_that_is_too_short_leaves_nothing_behind(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("too short")
    root = tmp_path / "runs"
    with pytest.raises(InputError, match=r"own\.txt: sequences of 12 characters need a text of 13 or more, found 9;"):
        train(plan_run(training_spec("text", "rnn", text=text, **SMALL)), root)
    assert not root.exists()
