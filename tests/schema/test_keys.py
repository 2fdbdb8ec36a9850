"""The key of a trace, from the capture to a result."""

import pytest
import torch

from graddiag import capture, schema
from graddiag.analysis import Selection, selections
from graddiag.errors import SettingError
from graddiag.recorder import watch
from graddiag.schema import TRACE_KEYS, TraceKey
from graddiag.store import load_run


def test_a_key_unpacks_and_names_its_rows() -> None:
    key = TraceKey("encoder.lstm", 1, "reverse", 2)
    assert tuple(key) == ("encoder.lstm", 1, "reverse", 2)
    assert key.where == {"module": "encoder.lstm", "layer": 1, "direction": "reverse", "call": 2}
    assert tuple(key.where) == TRACE_KEYS
    assert (key.label, key.short) == (
        "encoder.lstm, layer 1, reverse, call 2",
        "encoder.lstm layer 1, reverse, call 2",
    )


def test_the_keys_of_each_table_of_a_layer_are_those_of_a_trace() -> None:
    tables = [table for table in schema.TABLES.values() if schema.MODULE in table.keys]
    assert len(tables) == 5
    for table in tables:
        assert tuple(name for name in table.keys if name in TRACE_KEYS) == TRACE_KEYS


@pytest.mark.parametrize("key", [TraceKey("lstm", 0, "forward"), TraceKey("a/b", 3, "reverse", 2)])
def test_a_key_is_read_from_its_text(key: TraceKey) -> None:
    assert TraceKey.from_key(key.key) == key


def test_another_text_is_refused() -> None:
    with pytest.raises(SettingError, match="is not a layer; write module/layer/direction/call"):
        TraceKey.from_key("lstm/0/sideways/0")


def test_a_trace_and_the_layers_of_its_run_have_the_same_keys(tmp_path) -> None:
    model = torch.nn.GRU(2, 3, num_layers=2, bidirectional=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with capture(model) as captured:
        model(torch.ones(4, 1, 2))[0].sum().backward()
    with watch(model, optimizer, run="keys", root=tmp_path) as recorder:
        model(torch.ones(4, 1, 2))[0].sum().backward()
        optimizer.step()
    assert Selection is TraceKey
    assert [trace.key for trace in captured.traces] == list(selections(load_run(recorder.path)))
