"""``graddiag mcp``: its tools by the package's client over stdio, and what they refuse."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from struct import unpack
from typing import Any

import anyio
import pytest

import graddiag
from graddiag.cli import main
from graddiag.cli.mcp_server import RunTools, _drawn, pictures
from graddiag.errors import GraddiagError, InputError, MissingLibraryError, SettingError
from tests.dashboards import synthetic
from tests.dashboards.synthetic import Made
from tests.needs import needs, needs_chromium

pytestmark = pytest.mark.libraries

TOOLS = {"list_runs", "diagnose", "compare", "figure"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair, a run that broke, one without timesteps, and a link that leads out of the root."""
    folder = tmp_path_factory.mktemp("mcp")
    root, outside = folder / "runs", folder / "outside"
    made = [*synthetic.pair(), Made("broken", broken_from=5), Made("scalars", traced=False)]
    synthetic.write_all(root, made)
    synthetic.write(outside, Made("secret"))
    (root / "linked").symlink_to(outside / "secret")
    return root


def asked(root: Path, calls: list[tuple[str, Mapping[str, Any]]]) -> tuple[list[Any], list[Any]]:
    """The tools of a server in a process of its own, and the results of calling some of them."""
    mcp = needs("mcp", "mcp")
    server = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "graddiag", "mcp", "--root", str(root)], cwd=str(Path(__file__).parents[1])
    )

    async def ask() -> tuple[list[Any], list[Any]]:
        async with mcp.Client(server) as client:
            tools = (await client.list_tools()).tools
            return tools, [await client.call_tool(name, dict(arguments)) for name, arguments in calls]

    return anyio.run(ask)


@pytest.mark.slow
def test_a_client_lists_diagnoses_and_compares_over_stdio(root: Path) -> None:
    calls = [
        ("list_runs", {"experiment": "pair"}),
        ("diagnose", {"run": "broken"}),
        ("diagnose", {"run": "broken", "everything": True}),
        ("compare", {"runs": ["pair"]}),
        ("diagnose", {"run": "../outside/secret"}),
    ]
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}
    tools, (listed, short, full, compared, refused) = asked(root, calls)
    assert {each.name for each in tools} == TOOLS
    assert all(each.annotations.read_only_hint for each in tools)
    assert all(each.description for each in tools)
    rows = listed.structured_content["result"]
    assert [row["run"] for row in rows] == ["pair/lstm-off", "pair/lstm-on"]
    diagnosis = graddiag.diagnose(graddiag.load_run(root / "broken"))
    assert (short.structured_content["outcome"], short.structured_content["cause"]) == ("broken", diagnosis.cause)
    assert full.structured_content == json.loads(diagnosis.to_json())
    assert compared.structured_content["summary"] == RunTools(root).compare(["pair"])["summary"]
    assert json.loads(compared.content[0].text) == compared.structured_content
    assert refused.is_error
    assert "there is no run '../outside/secret'" in refused.content[0].text
    assert before == {path: path.read_bytes() for path in root.rglob("*.parquet")}


@pytest.mark.slow
def test_a_client_gets_a_picture_as_png(root: Path) -> None:
    needs("kaleido", "figures")
    needs_chromium()
    _, (drawn, refused) = asked(
        root, [("figure", {"run": "pair/lstm-on", "picture": "course"}), ("figure", {"run": "broken", "picture": "no"})]
    )
    (image,) = drawn.content
    assert (image.type, image.mime_type) == ("image", "image/png")
    assert refused.is_error
    assert "picture 'no': there is no such one; these are: course, " in refused.content[0].text
    data = RunTools(root).figure("pair/lstm-on", "heat")
    assert data.startswith(PNG)
    assert unpack(">I", data[16:20]) == (900,)


def test_runs_can_be_chosen_by_outcome_and_experiment(root: Path) -> None:
    tools = RunTools(root)
    assert [row["run"] for row in tools.list_runs(outcome="broken")] == ["broken"]
    assert len(tools.list_runs(experiment="pair")) == 2
    assert tools.list_runs(outcome="learned", experiment="pair") == []


def test_a_comparison_has_a_sentence_for_each_effect(root: Path) -> None:
    found = RunTools(root).compare(["pair/lstm-off", "pair/lstm-on"])
    compared = graddiag.compare([graddiag.load_run(root / "pair" / name) for name in ("lstm-off", "lstm-on")])
    assert found["summary"] == compared.caption
    assert len(found["effects"]) == len(compared.effects)
    assert RunTools(root).compare(["pair"], everything=True) == compared.to_dict()


@pytest.mark.parametrize("name", ["nothing", "", "/", "..", "../outside/secret", "linked", "pai", "pair/lstm"])
def test_what_is_no_run_under_the_root_is_refused_by_its_name(root: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"there is no run .* under .*; there are: broken, pair/lstm-off"):
        RunTools(root).diagnose(name)


def test_an_experiment_is_no_single_run(root: Path) -> None:
    with pytest.raises(InputError, match="'pair' is an experiment of 2 runs; name one: pair/lstm-off, pair/lstm-on"):
        RunTools(root).diagnose("pair")


@pytest.mark.parametrize(
    ("run", "picture", "layer", "words"),
    [
        ("broken", "nothing", 0, "there is no such one; these are: course, "),
        ("broken", "heat", 7, "layer 7: the run has layers 0 to 0"),
        ("broken", "heat", -1, "layer -1: the run has layers 0 to 0"),
        ("scalars", "heat", 0, "no timesteps were recorded"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused(root: Path, run: str, picture: str, layer: int, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        RunTools(root).figure(run, picture, layer)


def test_every_picture_is_drawn_or_refused_with_the_reason(root: Path) -> None:
    run, refused = graddiag.load_run(root / "pair" / "lstm-on"), {}
    for picture in pictures():
        try:
            assert _drawn(run, picture, 0).data
        except GraddiagError as error:
            refused[picture] = str(error)
    assert {"course", "heat", "norms", "reach"} <= set(pictures()) - set(refused)
    assert [why for picture, why in refused.items() if not why.startswith(f"picture {picture!r}: ")] == []


def test_without_kaleido_figure_names_the_extra(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingLibraryError, match=r"a figure as PNG needs .*pip install 'graddiag\[figures\]'"):
        RunTools(root).figure("broken")


def test_without_the_package_the_command_names_the_extra(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [each for each in sys.modules if each == "mcp" or each.startswith("mcp.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp", "--root", str(root)]) == 2
    assert "pip install 'graddiag[mcp]'" in capsys.readouterr().err
