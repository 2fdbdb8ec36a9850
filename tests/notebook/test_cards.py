"""Values as the last line of a cell: one line of text, and HTML in which every text is escaped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import graddiag
from graddiag.notebook.cards import CARDS
from graddiag.notebook.sparkline import sparkline
from graddiag.representation import LONGEST, one_line
from graddiag.run import Run
from tests.dashboards import synthetic
from tests.dashboards.synthetic import HOSTILE, Made
from tests.notebook.parsed import parsed

HOSTILE_RUN = Made(HOSTILE[0], HOSTILE[1], HOSTILE[2], clip="norm:1.0", hostile=True, status="failed", broken_from=6)


def written(root: Path, made: Made) -> Run:
    return graddiag.load_run(root / synthetic.write(root, made))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    root = tmp_path_factory.mktemp("cards")
    made = [HOSTILE_RUN, replace(HOSTILE_RUN, name="off", arm=HOSTILE[0], clip="none", broken_from=None)]
    return [*(written(root, each) for each in [*made, *synthetic.awkward().values()])]


def values_of(run: Run) -> list[object]:
    return [run, run.manifest, graddiag.diagnose(run)]


def test_each_value_is_one_printable_line_and_a_card(runs: list[Run]) -> None:
    for value in [*(each for run in runs for each in values_of(run)), graddiag.compare(runs), graddiag.compare([])]:
        line = repr(value)
        assert line.isprintable()
        assert len(line) <= LONGEST
        assert line.startswith(f"{type(value).__name__}(")
        assert parsed(value._repr_html_()).text


def test_hostile_names_are_text(runs: list[Run]) -> None:
    for value in [*values_of(runs[0]), graddiag.compare(runs[:2])]:
        html = value._repr_html_()
        assert "<img" not in html
        assert "<b>" not in html
    assert HOSTILE[0] in parsed(runs[0]._repr_html_()).text
    assert HOSTILE[2] in parsed(runs[0].manifest._repr_html_()).text


def test_a_diagnosis_gives_outcome_cause_and_advice_and_folds_the_evidence(tmp_path: Path) -> None:
    diagnosis = graddiag.diagnose(written(tmp_path, Made("broken", status="failed", broken_from=6)))
    found = parsed(diagnosis._repr_html_())
    before, _, folded = diagnosis._repr_html_().partition("<details")
    assert diagnosis.outcome.headline in before
    assert diagnosis.causes
    assert diagnosis.causes[0].title in before
    assert diagnosis.do_first is not None
    assert diagnosis.do_first.text in found.text
    assert "Evidence" in folded
    assert diagnosis.basis.sentence in found.text
    assert repr(diagnosis) == f"Diagnosis(broken: {diagnosis.headline})"


def test_a_comparison_has_a_row_for_each_effect(tmp_path: Path) -> None:
    compared = graddiag.compare([written(tmp_path, each) for each in synthetic.pair()])
    found = parsed(compared._repr_html_())
    assert found.elements.count("tr") >= 1 + len(compared.effects)
    for effect in compared.effects:
        assert effect.title in found.text
        assert effect.estimate_text in found.text
    assert repr(compared) == f"Comparison(1 pair, {len(compared.effects)} effects, arms clip off / clip on)"


def test_a_run_and_its_manifest_in_one_line(tmp_path: Path) -> None:
    run = written(tmp_path, Made("lstm-0", "pair", clip="norm:1.0", seed=3))
    assert repr(run) == f"Run(pair/lstm-0: finished, seed 3, {tmp_path / 'pair' / 'lstm-0'})"
    assert repr(run.manifest) == "RunManifest(pair/lstm-0: finished, task text, model lstm, clip norm:1.0, seed 3)"
    assert repr(Run.from_frames(run.manifest)) == "Run(pair/lstm-0: finished, seed 3)"


def test_a_recorder_has_its_folder_its_status_and_how_to_open_the_run(tmp_path: Path) -> None:
    model = nn.LSTM(3, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with graddiag.watch(model, optimizer, run="mine", experiment="one", root=tmp_path) as recorder:
        model(torch.randn(5, 2, 3))[0].sum().backward()
        optimizer.step()
        assert repr(recorder) == f"Recorder({tmp_path / 'one' / 'mine'}: running, step 1)"
        assert "running" in parsed(recorder._repr_html_()).text
    found = parsed(recorder._repr_html_()).text
    assert "finished" in found
    assert f"graddiag dashboard --root {tmp_path}" in found
    assert f"graddiag diagnose {recorder.path}" in found
    assert repr(recorder) == f"Recorder({recorder.path}: finished, step 1)"


def test_a_trace_has_its_shapes_and_a_picture_of_the_gradient() -> None:
    model = nn.LSTM(3, 4)
    with graddiag.capture(model) as traced:
        model(torch.randn(5, 2, 3))[0].sum().backward()
    (trace,) = traced.traces
    found = parsed(trace._repr_html_())
    assert "[5, 2, 4]" in found.text
    assert "svg" in found.elements
    assert repr(trace).startswith("Trace((model), layer 0, forward: lstm, T=5, N=2, H=4")
    unreached = replace(trace, grad_h=None)
    assert "No gradient reached this call." in parsed(unreached._repr_html_()).text


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([], 0), ([1.0], 0), ([1.0, 1.0, 1.0], 0), ([1.0, float("nan"), 0.0, float("inf"), 1e-30], 3), ([0.0, 0.0], 2)],
)
def test_a_small_picture_has_a_tick_for_every_timestep_that_has_no_logarithm(values: list[float], ticks: int) -> None:
    svg = str(sparkline(values, "norms"))
    assert svg.count('stroke="#d7191c"') == ticks
    assert "nan" not in svg
    assert parsed(svg).elements.count("path") == 1 + ticks


def test_a_line_is_cut_where_it_is_too_long_and_never_broken() -> None:
    class Long: ...

    assert one_line(Long(), "a\nb", None, "", "c") == "Long(a b, c)"
    assert len(one_line(Long(), "x" * 1000)) == LONGEST


def test_every_card_is_of_a_public_class() -> None:
    public = {*graddiag.__all__, *graddiag.analysis.__all__}
    assert set(CARDS) <= public
