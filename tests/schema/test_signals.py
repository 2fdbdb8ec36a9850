"""One declaration of a signal: its column, titles, units and exports follow from it."""

import json
import shutil
from pathlib import Path
from typing import Final

import pytest
import torch

import graddiag.nn
from graddiag import analysis, capture, schema
from graddiag.clipping import attach, parse
from graddiag.tracing.signals import Signals, signals, unscaled
from tests.fresh_process import run_script

ROOT: Final = Path(__file__).resolve().parents[2]
DECLARED: Final = """    for signal in (
        Signal("delta_max", "Largest |dL/da|", "units of the loss", "largest |dL/da_t|", scales_with_loss=True),
"""
COMPUTED: Final = """        columns |= weight_contributions(trace)
        columns["delta_max"] = trace.grad_a.abs().amax((1, 2)).double()
"""
USED: Final = """
import json, pathlib, sys, torch
sys.path.insert(0, sys.argv[2])
import graddiag
assert pathlib.Path(graddiag.__file__).is_relative_to(sys.argv[2])
from graddiag import analysis, figures
from graddiag.integrations.curves import over_timesteps
from graddiag.integrations.tables import export_csv

folder = pathlib.Path(sys.argv[1])
model = torch.nn.LSTM(2, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with graddiag.capture(model) as captured:
    model(torch.ones(4, 1, 2))[0].square().sum().backward()
largest = captured.trace().grad_a.abs().amax((1, 2))
model.zero_grad()
with graddiag.watch(model, optimizer, run="new", root=folder) as recorder:
    model(torch.ones(4, 1, 2))[0].square().sum().backward()
    optimizer.step()
run = graddiag.load_run(recorder.path)
(layer,) = analysis.selections(run)
heat = analysis.heat(run, "delta_max", layer)
figures.heatmap(heat)
export_csv(run, folder / "csv")
print(json.dumps({
    "equal": torch.allclose(torch.tensor(run.timesteps["delta_max"].tolist()), largest),
    "offered": "delta_max" in analysis.signals(run, layer),
    "title": heat.title,
    "unit": analysis.signal_unit("delta_max"),
    "csv": any("delta_max" in path.read_text() for path in (folder / "csv").rglob("*timesteps*.csv")),
}))
"""


def test_the_table_has_a_column_for_each_signal() -> None:
    columns = [column for column in schema.TABLES[schema.TABLE_TIMESTEPS].columns if not column.key]
    assert [(c.name, c.unit, c.meaning, c.since) for c in columns] == [
        (s.name, s.unit, s.meaning, s.since) for s in schema.SIGNALS.values()
    ]


@pytest.mark.parametrize("signal", schema.SIGNALS.values(), ids=list(schema.SIGNALS))
def test_titles_and_units_on_pictures_are_those_declared(signal: schema.Signal) -> None:
    assert analysis.signal_title(signal.name) == signal.label
    assert analysis.signal_unit(signal.name) == signal.full_unit
    assert signal.full_unit.endswith("before clipping") is signal.scales_with_loss


def test_a_label_names_one_signal() -> None:
    assert len({signal.label for signal in schema.SIGNALS.values()}) == len(schema.SIGNALS)


def _measured() -> Signals:
    """Signals of an LSTM under ``bptt`` with an operation between two windows, which has them all."""
    torch.manual_seed(0)
    model = graddiag.nn.LSTM(2, 3, dtype=torch.float64)
    attach(parse("bptt:0.5"), model)
    with capture(model) as captured:
        first, state = model(torch.randn(3, 2, 2, dtype=torch.float64))
        second, _ = model(torch.randn(2, 2, 2, dtype=torch.float64), tuple(0.9 * each for each in state))
        torch.cat((first, second)).square().sum().backward()
    return signals(captured.trace())


def test_every_signal_is_computed_and_those_in_units_of_the_loss_are_divided_by_its_scale() -> None:
    found = _measured()
    assert set(found.timesteps) == set(schema.SIGNALS)
    scaled = unscaled(found, torch.tensor(4.0, dtype=torch.float64))
    for name, column in found.timesteps.items():
        ratio = 4.0 if schema.SIGNALS[name].scales_with_loss else 1.0
        torch.testing.assert_close(scaled.timesteps[name] * ratio, column, equal_nan=True)


@pytest.mark.slow
def test_a_new_signal_is_declared_in_one_file_and_computed_in_another(tmp_path: Path) -> None:
    package = tmp_path / "code" / "graddiag"
    shutil.copytree(ROOT / "graddiag", package)  # what is compiled of it too, which the changes make stale
    changes = {
        "schema/signals.py": ("    for signal in (\n", DECLARED),
        "tracing/signals.py": ("        columns |= weight_contributions(trace)\n", COMPUTED),
    }
    for name, (before, after) in changes.items():
        source = (package / name).read_text(encoding="utf-8")
        assert source.count(before) == 1
        (package / name).write_text(source.replace(before, after), encoding="utf-8")
    script = tmp_path / "use.py"
    script.write_text(USED, encoding="utf-8")
    said = run_script(script, tmp_path, str(tmp_path), str(package.parent))
    assert json.loads(said.splitlines()[-1]) == {
        "equal": True,
        "offered": True,
        "title": "Largest |dL/da|",
        "unit": "units of the loss, before clipping",
        "csv": True,
    }
