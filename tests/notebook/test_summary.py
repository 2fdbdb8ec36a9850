"""``graddiag.show``: the summary of a run, in a notebook and outside of one, and while the run trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import graddiag
from graddiag.analysis import key_figures
from graddiag.errors import RunFormatError, SettingError
from graddiag.notebook import summary
from graddiag.notebook.display import in_notebook
from graddiag.notebook.summary import PICTURES, contents
from graddiag.run import Run
from tests.dashboards import synthetic
from tests.dashboards.synthetic import Growing, Made
from tests.needs import needs
from tests.notebook.parsed import parsed
from tests.waiting import SECONDS, until

PLOTLY = "application/vnd.plotly.v1+json"
TRAINING = """
import torch, graddiag
from torch import nn
model = nn.LSTM(3, 4)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
recorder = graddiag.watch(model, optimizer, run="mine")
graddiag.show(recorder, refresh=0.5)
""", """
import time
for step in range(40):
    loss = model(torch.randn(5, 2, 3))[0].square().mean()
    optimizer.zero_grad(); loss.backward(); recorder.log(loss=loss); optimizer.step()
recorder.close()
import threading
for thread in threading.enumerate():
    if thread.name == "graddiag-show":
        thread.join()
""", "recorder", "graddiag.load_run(recorder.path)", "graddiag.diagnose(graddiag.load_run(recorder.path))"  # fmt: skip


@pytest.mark.parametrize("made", synthetic.awkward().values(), ids=synthetic.awkward())
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_run_has_a_card_its_key_figures_and_each_picture(made: Made, theme: Any, tmp_path: Path) -> None:
    run = graddiag.load_run(tmp_path / synthetic.write(tmp_path, made))
    top, *pictures = contents(run, theme)
    found = parsed(top["text/html"])
    assert graddiag.diagnose(run).outcome.headline in found.text
    for figure in key_figures(run).figures:
        assert figure.title in found.text
        assert figure.value in found.text
    assert len(pictures) == len(PICTURES)
    for each in pictures:
        assert parsed(each["text/html"]).text if isinstance(each, Mapping) else each.data


def test_outside_a_notebook_the_diagnosis_is_printed_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not in_notebook()
    run = graddiag.load_run(tmp_path / synthetic.write(tmp_path, synthetic.pair()[0]))
    for given in (run, run.path, str(run.path)):
        graddiag.show(given)
        out = capsys.readouterr().out
        assert graddiag.diagnose(run).short() in out
        assert f"graddiag dashboard --root {tmp_path}" in out
        assert f"graddiag report {run.path}" in out
    graddiag.show(Run.from_frames(run.manifest))
    assert "graddiag.write_report" in capsys.readouterr().out


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFormatError, match="nowhere"):
        graddiag.show(tmp_path / "nowhere")
    with pytest.raises(SettingError, match="refresh 0: give seconds above 0"):
        graddiag.show(tmp_path, refresh=0)


def test_a_run_is_followed_until_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, int]] = []
    monkeypatch.setattr(summary, "in_notebook", lambda: True)
    monkeypatch.setattr(summary._Screen, "put", lambda self, run: shown.append((run.manifest.status, len(run.steps))))
    growing = Growing(tmp_path, Made("grows", status="running"))
    growing.grow(to=3)
    graddiag.show(tmp_path / growing.link, refresh=0.5)
    assert shown[0] == ("running", 3)
    growing.grow(to=7)
    until(lambda: shown[-1] == ("running", 7))
    growing.writer.close()
    until(lambda: shown[-1] == ("finished", 7))


@pytest.mark.libraries
@pytest.mark.slow
def test_in_a_real_kernel_the_summary_grows_and_values_have_their_html(tmp_path: Path) -> None:
    nbclient, nbformat = needs("nbclient", "dev"), needs("nbformat", "dev")
    needs("ipykernel", "dev")
    cells = [nbformat.v4.new_code_cell(each) for each in TRAINING]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute(cwd=str(tmp_path))
    top, *pictures = notebook.cells[0].outputs
    assert "mine: finished" in parsed(top.data["text/html"]).text
    assert [bool(each.data[PLOTLY]["data"]) for each in pictures] == [True, True]
    for cell, words in zip(notebook.cells[2:], ("finished", "Final loss", "Evidence"), strict=True):
        assert words in parsed(cell.outputs[0].data["text/html"]).text
