"""``graddiag spectrum``: a table, JSON and a figure of a checkpoint; one sentence with status 2 for what is wrong."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graddiag import load_run, schema
from graddiag.cli import main


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a checkpoint of a scaled rotation and a GRU, and data for the first."""
    torch.manual_seed(0)
    rnn = nn.RNN(2, 4, dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(0.9 * torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q)
    torch.save(nn.ModuleDict({"rnn": rnn, "gru": nn.GRU(4, 3)}).state_dict(), tmp_path / "model.pt")
    np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(30, 10, 2)))
    return tmp_path


def test_weights_alone(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spectrum", str(files / "model.pt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "spectral radius" in lines[1]
    assert [line.split()[:4] for line in lines if "weight_hh" in line and "rnn" in line] == [
        ["rnn.weight_hh_l0", "h", "0.9", "0.9"]
    ]
    assert [line.split()[1] for line in lines if "gru.weight_hh" in line] == ["r", "z", "n"]


def test_exponents_on_data(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["spectrum", str(files / "model.pt"), "--data", str(files / "data.npy"), "--nonlinearity", "identity"]
    assert main([*arguments, "--samples", "3", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "gru takes 4 features, the data has 2: left out.\n"
    found = json.loads(captured.out, parse_constant=pytest.fail)
    (one,) = found["lyapunov"]
    assert one["exponents"] == pytest.approx([math.log(0.9)] * 4)
    assert one["selection"]["module"] == "rnn"
    assert (one["timesteps"], one["transient"], len(one["by_sample"])) == (27, 3, 3)
    assert [each["parameter"] for each in found["weights"]] == ["gru.weight_hh_l0", "rnn.weight_hh_l0"]
    assert main([*arguments, "--module", "rnn", "--transient", "0"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    row = next(line for line in captured.out.splitlines() if "layer 0" in line)
    assert row.split() == [
        *("rnn,", "layer", "0,", "forward", "4", "30", "8"),
        *("-0.1054", "-0.1054", "-0.1054", "-0.1054", "-0.4214", "9.491"),
    ]


def test_short_and_broken_sequences(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(files / "short.npy", np.zeros((3, 1, 2)))
    arguments = ["spectrum", str(files / "model.pt"), "--nonlinearity", "identity", "--module", "rnn", "--data"]
    assert main([*arguments, str(files / "short.npy")]) == 0
    assert "-0.1054" in capsys.readouterr().out
    np.save(files / "broken.npy", np.full((9, 2, 2), math.nan))
    assert main([*arguments, str(files / "broken.npy"), "--nonlinearity", "tanh"]) == 0
    assert "meet NaN or inf in every sample: they have no exponents." in capsys.readouterr().out


def test_a_figure_that_asks_nobody(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = files / "spectrum.html"
    assert main(["spectrum", str(files / "model.pt"), "--data", str(files / "data.npy"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {out}\n")
    page = out.read_text(encoding="utf-8")
    assert "Lyapunov exponents" in page
    assert not re.search(r"<script[^>]+src=", page)
    assert '"showSendToCloud": false' in page


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_what_is_not_there_is_a_dash_and_nan_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nn.LSTM(2, 4, proj_size=2).state_dict(), tmp_path / "projected.pt")
    assert main(["spectrum", str(tmp_path / "projected.pt")]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines() if " f " in line] == [
        ["weight_hh_l0", "f", "-"]
    ]
    weights = nn.RNN(2, 3).state_dict()
    weights["weight_hh_l0"][0, 0] = math.nan
    torch.save(weights, tmp_path / "nan.pt")
    assert main(["spectrum", str(tmp_path / "nan.pt")]) == 0
    assert capsys.readouterr().out.startswith("Every recurrent weight holds NaN or inf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.pt"], r"graddiag: checkpoint .*none\.pt: it cannot be read \(No such file or directory\)\."),
        (["data.npy"], r"graddiag: checkpoint .*data\.npy: it cannot be read as weights alone .*"),
        (["model.pt", "--module", "lstm"], r"graddiag: module 'lstm': .* it holds \['gru', 'rnn'\]\."),
        (["model.pt", "--nonlinearity", "swish"], r"graddiag: Invalid value for '--nonlinearity': .*"),
        (["model.pt", "--data", "model.pt"], r"graddiag: data .*model\.pt: found OrderedDict; save one array .*"),
        (["model.pt", "--data", "none.npy"], r"graddiag: data .*none\.npy: it cannot be read .*"),
        (
            ["model.pt", "--module", "gru", "--data", "data.npy"],
            r"graddiag: data .*: it has 2 features, and no recurrent module takes so many \(gru 4\)\. .*",
        ),
        (
            ["model.pt", "--data", "data.npy", "--transient", "30"],
            r"graddiag: lyapunov\(transient=30\): with T=30 and D=4 it has to be from 0 to 29\.",
        ),
        (["model.pt", "--samples", "0"], r"graddiag: samples 0: at least one sequence is needed; .*"),
        (["model.pt", "--out", "none/figure.html"], r"graddiag: figure .*: it cannot be written \(No such file .*\)\."),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence(
    arguments: list[str], message: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    assert main(["spectrum", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(message, captured.err.rstrip("\n").splitlines()[-1])


def test_a_run_is_recorded_with_snapshots(tmp_path: Path) -> None:
    small = ["--steps", "5", "--length", "12", "--batch", "4", "--hidden", "8", "--root", str(tmp_path)]
    assert main(["run", "--model", "gru", "--snapshot-every", "2", *small]) == 0
    run = load_run(tmp_path / "gru-none-seed0")
    assert sorted(run.snapshots[schema.STEP].unique()) == sorted(run.spectra[schema.STEP].unique()) == [0, 2, 4]
    assert "--snapshot-every 2" in run.manifest.config["command"]
