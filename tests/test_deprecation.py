"""Names that changed still work, and say what they are called now."""

from pathlib import Path
from typing import Any

import pytest
import torch

import graddiag
from graddiag import analysis, clipping, figures
from graddiag.deprecation import renamed_argument, renamed_attribute
from graddiag.views import view
from tests.analysis.runs import LAYER, net

ANALYSIS = {
    "CALM": "NEUTRAL_FINDINGS",
    "LookedStep": "SweepStep",
    "Measured": "DiagnosticContext",
    "Moment": "TimelineEvent",
    "Parting": "FirstDivergence",
    "Story": "Timeline",
    "WeightsInTime": "WeightContributions",
    "parting": "first_divergence",
    "weights_in_time": "weight_contributions",
}
FIGURES = {"story": "timeline", "teaching": "effective_timesteps", "weights_in_time": "weight_contributions"}
MODULES = [(analysis, ANALYSIS), (figures, FIGURES), (clipping, {"Looked": "ThresholdSweep", "Tried": "Trial"})]


@pytest.mark.parametrize(
    ("module", "old", "new"), [(module, old, new) for module, names in MODULES for old, new in names.items()]
)
def test_a_former_name_of_a_module_gives_the_present_one(module: Any, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"{module.__name__}\.{old} is now called {new}\.") as warned:
        assert getattr(module, old) is getattr(module, new)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("module", [analysis, figures])
def test_a_name_that_never_was_is_refused(module: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'never'"):
        module.never  # noqa: B018


def test_former_names_of_results() -> None:
    diagnosis = graddiag.diagnose(net(0.5))
    with pytest.warns(DeprecationWarning, match=r"Diagnosis\.story is now called timeline\."):
        assert diagnosis.story is diagnosis.timeline
    with pytest.warns(DeprecationWarning, match=r"Timeline\.moments is now called events\."):
        assert diagnosis.timeline.moments is diagnosis.timeline.events
    found = analysis.weight_contributions(net(0.5), LAYER)
    with pytest.warns(DeprecationWarning, match=r"teaching is now called effective_timesteps\."):
        assert found.teaching is found.effective_timesteps
    assert "teaching" not in found.to_dict()


def test_former_names_of_views() -> None:
    with pytest.warns(DeprecationWarning, match="the view 'story' is now called 'timeline'"):
        assert view("story") is view("timeline")


def test_look_tries_thresholds_and_warns(tmp_path: Path) -> None:
    model = torch.nn.RNN(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.ones(4, 1, 2)
    with graddiag.watch(model, optimizer, run="look", root=tmp_path) as recorder:
        model(x)[0].square().sum().backward()
        with pytest.warns(DeprecationWarning, match=r"Recorder\.look is now called try_thresholds\."):
            sweep = recorder.look(lambda: model(x)[0].square().sum(), [0.5])
        optimizer.step()
    assert len(sweep.tried) == 2
    assert len(graddiag.load_run(recorder.path).counterfactuals) == 2


def test_the_former_keyword_of_a_report_s_progress(tmp_path: Path) -> None:
    doing: list[str] = []
    with pytest.warns(DeprecationWarning, match=r"write_report\(tell=...\) is now called on_progress\."):
        graddiag.write_report([net(0.5)], tmp_path / "report.html", tell=doing.append)  # type: ignore[call-arg]
    assert doing


def test_a_renamed_argument_is_handed_on() -> None:
    @renamed_argument("length", "timesteps")
    def double(*, timesteps: int) -> int:
        return 2 * timesteps

    assert double(timesteps=2) == 4
    with pytest.warns(DeprecationWarning, match=r"double\(length=...\) is now called timesteps\."):
        assert double(length=3) == 6  # type: ignore[call-arg]


def test_a_renamed_attribute_is_read_from_the_object() -> None:
    class Pair:
        first = 1
        head = renamed_attribute("head", "first")

    with pytest.warns(DeprecationWarning, match=r"Pair\.head is now called first\."):
        assert Pair().head == 1
