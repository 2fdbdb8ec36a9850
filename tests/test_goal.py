"""What a training is judged by, as ``watch`` takes it: checked, and kept in the configuration."""

from pathlib import Path
from typing import Any

import pytest
import torch

import graddiag
from graddiag.errors import SettingError


def config_of(root: Path, **settings: Any) -> dict[str, Any]:
    with graddiag.watch(torch.nn.GRU(2, 3), run="r", root=root, resume=False, **settings) as recorder:
        pass
    return dict(graddiag.load_run(recorder.path).manifest.config)


def test_the_goal_is_kept_in_the_configuration(tmp_path: Path) -> None:
    found = config_of(tmp_path, goal="val_loss", better="lower", chance=1.5, chance_loss="ln 4", config={"lr": 1})
    assert found == {"lr": 1, "goal": "val_loss", "better": "lower", "chance": 1.5, "chance_loss": "ln 4"}
    assert config_of(tmp_path) == {}


def test_a_configuration_may_say_it_and_be_repeated(tmp_path: Path) -> None:
    same = {"goal": "accuracy", "chance_loss": 1.386}
    assert config_of(tmp_path, config=same) == same
    assert config_of(tmp_path, config=same, goal="accuracy", better="higher") == same | {"better": "higher"}


@pytest.mark.parametrize("chance_loss", [1.386, 0, -3.5, "ln 4", "1/24", "10 ln 8/30", ".25", "2.5 ln 10"])
def test_losses_of_guessing(chance_loss: float | str, tmp_path: Path) -> None:
    assert config_of(tmp_path, chance_loss=chance_loss) == {"chance_loss": chance_loss}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goal": ""}, r"watch\(goal=''\): expected the name of a scalar that you log"),
        ({"goal": "acc", "better": "up"}, r"watch\(better='up'\): expected 'lower' .* or 'higher'"),
        ({"goal": "acc", "chance": float("nan")}, r"watch\(chance=nan\): expected a finite number"),
        ({"goal": "acc", "chance": True}, r"watch\(chance=True\): expected a finite number"),
        ({"better": "lower"}, r"watch\(better=\.\.\.\): it belongs to a goal; add goal='NAME'"),
        ({"chance": 0.5}, r"watch\(chance=\.\.\.\): it belongs to a goal"),
        ({"chance_loss": "log of four"}, r"watch\(chance_loss='log of four'\): expected .* like 'ln 4'"),
        ({"chance_loss": ""}, r"watch\(chance_loss=''\): expected"),
        ({"chance_loss": float("inf")}, r"watch\(chance_loss=inf\): expected"),
        ({"goal": "a", "config": {"goal": "b"}}, r"watch\(goal='a'\): config has goal='b'\. Give it once"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_run_begins(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message):
        config_of(tmp_path, **settings)
    assert not list(tmp_path.iterdir())
