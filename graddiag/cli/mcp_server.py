"""The tools of ``graddiag mcp``: the runs under a root for an agent. None of them changes a run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

from graddiag import __version__
from graddiag.cli.rows import records
from graddiag.errors import GraddiagError, InputError, MissingLibraryError, SettingError

INSTRUCTIONS: Final = (
    "Recorded trainings of recurrent networks. Call list_runs first; diagnose says whether a run learned, why not, and "
    "what to do first; compare gives the effect of one arm against another; figure draws a picture of a run."
)
WIDTH: Final = 900  # CSS pixels of a figure; its PNG has as many
_HEIGHT: Final = 450
_MOST_NAMES: Final = 20
_CELLS: Final = 24_000


@dataclass(frozen=True)
class RunTools:
    """What an agent can ask about the runs under ``root``. Runs are named by their folder relative to it."""

    root: Path

    def list_runs(self, outcome: str | None = None, experiment: str | None = None) -> list[dict[str, Any]]:
        """List the runs: folder, experiment, arm, seed, settings, status, steps, final loss, outcome and cause.

        outcome: only runs of this outcome (learned, learning, overfits, stuck, diverged, broken, unknown).
        experiment: only runs of this experiment.
        """
        from graddiag import list_runs

        wanted = {"outcome": outcome, "experiment": experiment}
        asked = {name: value for name, value in wanted.items() if value is not None}
        return [row for row in records(list_runs(self.root)) if all(row[name] == each for name, each in asked.items())]

    def diagnose(self, run: str, everything: bool = False) -> dict[str, Any]:
        """Diagnose a run: whether it learned, why not, what to do first, and what was not measured.

        run: its folder, as list_runs gives it. everything: also all findings with their evidence, the schema of
        `graddiag guide --schema diagnose`.
        """
        from graddiag import diagnose

        found = diagnose(self._run(run))
        if everything:
            return found.to_dict()
        return {
            "run": run,
            "outcome": found.outcome.name,
            "cause": found.cause,
            "account": found.account,
            "do_first": None if found.do_first is None else found.do_first.text,
            "then": [each.text for each in found.then],
            "findings": [f"{each.name} ({each.severity}): {each.sentence}" for each in found.findings],
            "not_measured": [each.sentence for each in found.notes],
            "basis": found.basis.sentence,
        }

    def compare(self, runs: list[str], everything: bool = False) -> dict[str, Any]:
        """Compare runs by arm, paired by seed and length: the effect of each arm against the baseline.

        runs: folders of runs, or of experiments, which mean all of their runs. everything: the schema of
        `graddiag guide --schema compare`.
        """
        from graddiag import compare, load_run

        compared = compare([load_run(each) for name in runs for each in self._folders(name)])
        if everything:
            return compared.to_dict()
        effects = [
            f"{each.arm} against {each.baseline_arm}: {each.title}: {_effect(each)}" for each in compared.effects
        ]
        differences = records(compared.differences_table()) if compared.differences else []
        return {"summary": compared.caption, "effects": effects, "differences": differences}

    def figure(self, run: str, picture: str = "heat", layer: int = 0) -> bytes:
        """Draw a picture of a run as PNG.

        run: its folder, as list_runs gives it. layer: of pictures of one layer, in the order of the model, from 0.
        picture:
        """
        figure = _drawn(self._run(run), picture, layer)
        from graddiag.chromium import ImageSize, chromium

        size = ImageSize(WIDTH, round(figure.layout.height or _HEIGHT), scale=1.0)
        with chromium("a figure as PNG") as browser:
            return browser.image(json.loads(figure.to_json()), "png", size)

    def _run(self, name: str) -> Any:
        """The run of that name.

        Raises:
            InputError: there is none, or several.
        """
        from graddiag import load_run

        folders = self._folders(name)
        if len(folders) > 1:
            inside = _some([f"{name.strip('/')}/{each.name}" for each in folders])
            raise InputError(f"{name!r} is an experiment of {len(folders)} runs; name one: {inside}.")
        return load_run(folders[0])

    def _folders(self, name: str) -> list[Path]:
        """The folder of a run under the root, or those of an experiment; nothing outside the root is read.

        Raises:
            InputError: there is none.
        """
        from graddiag.store import leads_out, local_root, run_folders, shown

        root = local_root(self.root)
        known = [path for path in run_folders(root) if not leads_out(root, path)]
        wanted = name.strip("/")
        links = {path.relative_to(root).as_posix(): path for path in known}
        found = (
            [links[wanted]] if wanted in links else [p for link, p in links.items() if link.startswith(f"{wanted}/")]
        )
        if not found:
            raise InputError(f"there is no run {name!r} under {shown(root)}; there are: {_some(list(links))}.")
        return found


def pictures() -> dict[str, str]:
    """The title of each picture that ``figure`` draws, by its name."""
    from graddiag.views import VIEWS

    return {each.key: each.title for each in VIEWS if each.scope in ("run", "layer")}


def serve(root: Path) -> None:
    """Serves the runs under ``root`` on stdin and stdout, until stdin ends.

    Raises:
        MissingLibraryError: the package mcp is not installed.
    """
    server_of(root).run("stdio")


def server_of(root: Path) -> Any:
    """The MCP server of the runs under ``root``.

    Raises:
        MissingLibraryError: the package mcp is not installed.
    """
    try:
        from mcp.server.mcpserver import Image, MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise MissingLibraryError(
            f"graddiag mcp needs a library that could not be imported ({error}). "
            "Install it with `pip install 'graddiag[mcp]'`."
        ) from error
    tools = RunTools(root)

    def figure(run: str, picture: str = "heat", layer: int = 0) -> Image:
        return Image(data=tools.figure(run, picture, layer), format="png")

    about = str(tools.figure.__doc__) + ", ".join(f"{name} ({title})" for name, title in pictures().items())
    server = MCPServer("graddiag", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    hints = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    for tool in (tools.list_runs, tools.diagnose, tools.compare):
        server.add_tool(_refusing(tool), annotations=hints)
    server.add_tool(_refusing(figure), description=about, annotations=hints, structured_output=False)
    return server


def _refusing(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool with what it refuses as a message that the agent reads."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return tool(*args, **kwargs)
        except GraddiagError as error:
            raise ToolError(str(error)) from error

    return called


def _drawn(run: Any, picture: str, layer: int) -> Any:
    """The plotly figure of a picture, on white.

    Raises:
        SettingError: there is no such picture or layer, or the run holds nothing for it.
    """
    from graddiag.analysis import recorded_steps, selections
    from graddiag.views import ViewContext, view

    if picture not in pictures():
        raise SettingError(f"picture {picture!r}: there is no such one; these are: {', '.join(pictures())}.")
    layers = selections(run)
    if layers and not 0 <= layer < len(layers):
        raise SettingError(f"layer {layer}: the run has layers 0 to {len(layers) - 1}.")
    if not layers and view(picture).scope == "layer":
        raise SettingError(f"picture {picture!r}: no timesteps were recorded, only scalars per step.")
    chosen = layers[layer] if layers else None
    steps = recorded_steps(run, chosen)
    span = (int(steps[0]), int(steps[-1])) if len(steps) else 0
    plots = view(picture).plots([run], ViewContext(chosen, step=span, max_cells=_CELLS))
    if not plots or plots[0].missing is not None:
        raise SettingError(f"picture {picture!r}: {plots[0].missing if plots else 'the run holds nothing for it.'}")
    figure = plots[0].figure(title=True)
    return figure.update_layout(paper_bgcolor="#ffffff", plot_bgcolor="#ffffff", width=WIDTH)


def _effect(effect: Any) -> str:
    return f"{effect.text(effect.baseline_center)} to {effect.text(effect.center)}, difference {effect.estimate_text}"


def _some(links: Sequence[str]) -> str:
    more = f" and {len(links) - _MOST_NAMES} more" if len(links) > _MOST_NAMES else ""
    return (", ".join(links[:_MOST_NAMES]) or "none") + more
