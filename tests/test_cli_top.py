"""``graddiag top``: JSON lines where there is no terminal, and the live screen by its keys."""

import asyncio
import json
from pathlib import Path

import pytest
import torch
from textual.widgets import DataTable, Static
from torch import nn

import graddiag
from graddiag.cli import main
from graddiag.cli.top_screen import TopScreen


def record(root: Path, name: str, steps: int = 4) -> Path:
    torch.manual_seed(0)
    net = nn.LSTM(2, 4, num_layers=2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with graddiag.watch(net, optimizer, run=name, root=root, clip="norm:1") as recorder:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = net(torch.ones(6, 3, 2))[0][-1].square().mean()
            loss.backward()
            recorder.log(loss=loss)
            optimizer.step()
    return recorder.path


def test_without_a_terminal_it_is_a_line_of_json_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        record(tmp_path, name)
    assert main(["top", str(tmp_path)]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(each["run"]).name for each in found] == ["two", "one"]
    assert all((each["status"], each["step"], len(each["layers"])) == ("finished", 3, 2) for each in found)


def test_one_run_once_while_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.GRU(2, 3)
    with graddiag.watch(net, torch.optim.SGD(net.parameters(), lr=0.1), run="r", root=tmp_path) as recorder:
        assert main(["top", str(recorder.path), "--once"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["status"] == "running"


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_a_run_is_refused_by_name(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["top", str(tmp_path / folder)]) == 2
    assert str(tmp_path / folder) in capsys.readouterr().err


def headings(screen: TopScreen) -> list[str]:
    return [str(column.label) for column in screen.query_one(DataTable).columns.values()]


def cells(screen: TopScreen, column: int) -> list[str]:
    table = screen.query_one(DataTable)
    return [str(table.get_row_at(row)[column]) for row in range(table.row_count)]


def test_the_screen_lists_runs_and_opens_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        record(tmp_path, name)

    async def walk() -> None:
        screen = TopScreen(tmp_path, 60.0)
        async with screen.run_test(size=(120, 30)) as pilot:
            await screen.workers.wait_for_complete()
            await pilot.pause()
            assert cells(screen, 0) == ["two", "one"]
            await pilot.press("down", "enter")
            await pilot.pause()
            assert headings(screen)[0] == "layer"
            assert cells(screen, 0) == ["(model).0", "(model).1"]
            head = str(screen.query_one("#head", Static).render())
            assert "one" in head
            assert "clip norm:1 engaged" in head
            await pilot.press("s")
            await pilot.pause()
            shares = [float(each.rstrip("%")) for each in cells(screen, 1)]
            assert shares == sorted(shares)
            await pilot.press("escape")
            await pilot.pause()
            assert headings(screen)[0] == "run"
            await pilot.press("q")

    asyncio.run(walk())


def test_a_run_folder_is_opened_at_once_and_a_damaged_one_says_why(tmp_path: Path) -> None:
    path = record(tmp_path, "one")
    (path / "manifest.json").write_text("[")

    async def walk() -> None:
        screen = TopScreen(path, 60.0)
        async with screen.run_test() as pilot:
            await screen.workers.wait_for_complete()
            await pilot.pause()
            assert "damaged" in str(screen.query_one("#head", Static).render())
            assert "manifest" in str(screen.query_one("#events", Static).render())

    asyncio.run(walk())
