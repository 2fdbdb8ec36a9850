"""The figures of a run as files for a paper."""

import json
import os
import re
from base64 import b64decode
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.io
import pytest

import graddiag
from graddiag import schema
from graddiag.cli import main
from graddiag.errors import SettingError
from graddiag.integrations import figures
from graddiag.run import Run
from graddiag.store import load_run
from tests.dashboards.synthetic import awkward, write
from tests.needs import needs, needs_chromium

FORMS = ("json", "pdf", "png", "svg")
LAYERS = [f"lstm-layer-{layer}-{direction}" for layer in (0, 1) for direction in ("forward", "reverse")]


class Drawn:
    """In the place of Chromium: an image says what was asked for."""

    def image(self, figure: object, form: str, size: figures.ImageSize) -> bytes:
        return f"{form} {size.width}x{size.height}".encode()


@pytest.fixture
def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "chromium", lambda purpose: nullcontext(Drawn()))


def stems(folder: Path, form: str) -> set[str]:
    return {path.stem for path in folder.iterdir() if path.suffix == f".{form}"} - {"graddiag-export"}


@pytest.mark.browser
def test_every_figure_is_there_in_every_format(tmp_path: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    run = load_run(tmp_path / write(tmp_path, awkward()["nan"]))
    out = tmp_path / "out"
    assert main(["export", str(run.path), "--to", "figures", "--out", str(out)]) == 0
    every = stems(out, "png")
    assert every > {"loss", "heat-lstm-layer-0-forward"}
    assert all(stems(out, form) == every for form in FORMS)
    assert all((out / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in every)
    assert re.search(rb'^<svg [^>]*width="672"', (out / "loss.svg").read_bytes())
    figure = plotly.io.read_json(out / "loss.json")
    assert figure.layout.width == 672
    held = figure.data[0].y
    np.testing.assert_array_equal(
        np.frombuffer(b64decode(held["bdata"]), held["dtype"]), run.steps[schema.LOSS].to_numpy("float32")
    )
    for name in every:
        is_one_page_of_vectors((out / f"{name}.pdf").read_bytes(), images=name.startswith("heat"))


def is_one_page_of_vectors(pdf: bytes, *, images: bool) -> None:
    """The size of the figure in points, and no picture made of pixels but the cells of a heatmap."""
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    (box,) = re.findall(rb"/MediaBox \[([^\]]*)\]", pdf)
    assert float(box.split()[2]) == pytest.approx(672 * 72 / 96, abs=1)
    assert re.search(rb"/Type /Font\b", pdf)
    assert images or b"/Subtype /Image" not in pdf


@pytest.mark.usefixtures("without_browser")
def test_formats_are_those_that_were_named(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["nan"]))
    assert (
        main(["export", str(run.path), "--to", "figures", "--out", str(tmp_path / "out"), "--format", "svg,png"]) == 0
    )
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".svg", ".png", ".json"}


@pytest.mark.usefixtures("without_browser")
def test_names_say_figure_and_layer_and_are_the_same_each_time(recorded: graddiag.Run, tmp_path: Path) -> None:
    figures.export(recorded, tmp_path / "a")
    figures.export(recorded, tmp_path / "b", width=500)
    assert sorted(os.listdir(tmp_path / "a")) == sorted(os.listdir(tmp_path / "b"))
    assert all(stems(tmp_path / "a", form) == stems(tmp_path / "a", "png") for form in FORMS)
    assert {"loss", "norms", *(f"heat-{layer}" for layer in LAYERS)} < stems(tmp_path / "a", "png")
    assert (tmp_path / "a" / "loss.pdf").read_text().startswith("pdf 672x")
    assert (tmp_path / "b" / "loss.pdf").read_text().startswith("pdf 500x")
    assert json.loads((tmp_path / "a" / "graddiag-export.json").read_text())["format"] == "figures"


@pytest.mark.usefixtures("without_browser")
def test_a_hostile_name_stays_inside_the_folder(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["hostile"]))
    figures.export(run, tmp_path / "out", formats=["svg"])
    names = os.listdir(tmp_path / "out")
    assert "heat-img-src-x-onerror-alert-1-layer-0-forward.svg" in names
    assert all(name.isascii() and not set(name) & set("/<>\\ ") for name in names)


@pytest.mark.usefixtures("without_browser")
def test_layers_whose_names_become_one_have_files_of_their_own(tmp_path: Path) -> None:
    run = load_run(tmp_path / write(tmp_path, awkward()["nan"]))

    twin = run.timesteps.assign(module="LSTM")
    both = Run.from_frames(run.manifest, steps=run.steps, timesteps=pd.concat([run.timesteps, twin]))
    figures.export(both, tmp_path / "out", formats=["svg"])
    assert {"heat-lstm-layer-0-forward", "heat-lstm-layer-0-forward-2"} <= stems(tmp_path / "out", "svg")


@pytest.mark.usefixtures("without_browser")
def test_a_run_without_a_step_has_no_figure_and_an_export_all_the_same(empty: graddiag.Run, tmp_path: Path) -> None:
    figures.export(empty, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["graddiag-export.json"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": ["png", "eps"]}, "formats of figures: there is no 'eps'; name some of png, svg, pdf"),
        ({"formats": []}, "formats of figures: none was named"),
        ({"width": 20}, "width 20: a figure has to be 200 pixels wide or more, 96 an inch"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    settings: dict[str, object], message: str, recorded: graddiag.Run, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message):
        figures.export(recorded, tmp_path / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_format_and_width_are_for_figures_alone(
    recorded: graddiag.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["export", str(recorded.path), "--to", "csv", "--out", str(tmp_path / "out")]
    for more in (["--format", "png"], ["--width", "300"]):
        assert main([*arguments, *more]) == 2
        assert "--format and --width are for --to figures alone" in capsys.readouterr().err
