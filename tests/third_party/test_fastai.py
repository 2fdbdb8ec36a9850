"""fastai: optimizers that are none of torch's, by a callback, and those of torch in its wrapper."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import graddiag
from tests.third_party.trainings import reaches_every_timestep, recorded

fastai = pytest.importorskip("fastai", exc_type=ImportError)
pytestmark = [pytest.mark.third_party, pytest.mark.filterwarnings("ignore")]
T, STEPS = 9, 3 * 6


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 6, batch_first=True)
        self.head = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def learner(**more: Any) -> Any:
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.losses import MSELossFlat

    torch.manual_seed(0)
    x = torch.randn(48, T, 2, generator=torch.Generator().manual_seed(1))
    data = TensorDataset(x, x.sum((1, 2)).unsqueeze(1))
    loaders = DataLoaders(DataLoader(data, bs=8), DataLoader(data, bs=48))
    return Learner(loaders, Last(), loss_func=MSELossFlat(), lr=0.01, **more)


def by_callback(root: Path | None) -> tuple[nn.Module, Path | None]:
    """As docs/your-own-model.md has it."""
    from fastai.callback.core import Callback

    class Watch(Callback):
        def before_fit(self) -> None:
            self.watched = graddiag.watch(self.learn.model, run="fastai", root=root)

        def after_step(self) -> None:
            self.watched.log(loss=self.learn.loss)
            self.watched.step()

        def after_fit(self) -> None:
            self.watched.close()

    found = learner()
    with found.no_logging():
        found.fit(3, cbs=[] if root is None else [Watch()])
    return found.model, None if root is None else root / "fastai"


def in_its_wrapper(root: Path | None) -> tuple[nn.Module, Path | None]:
    from fastai.optimizer import OptimWrapper

    found = learner(opt_func=lambda params, **how: OptimWrapper(params, torch.optim.Adam, **how))
    found.create_opt()
    watched = None if root is None else graddiag.watch(found.model, found.opt, run="wrapper", root=root)
    with found.no_logging():
        found.fit(3)
    if watched is not None:
        watched.close()
    return found.model, None if watched is None else watched.path


@pytest.mark.parametrize("train", [by_callback, in_its_wrapper])
def test_a_learner_is_recorded_step_by_step(train: Any, tmp_path: Path) -> None:
    run = recorded(train, tmp_path)
    assert len(run.steps) == STEPS
    assert (run.parameters.update_ratio.dropna() > 0).all()
    reaches_every_timestep(run, T)


def test_its_own_optimizer_is_refused_with_the_way_out(tmp_path: Path) -> None:
    found = learner()
    found.create_opt()
    with pytest.raises(graddiag.errors.SettingError, match=r"recorder\.step\(\)"):
        graddiag.watch(found.model, found.opt, run="r", root=tmp_path)
    assert not list(tmp_path.iterdir())
