"""``graddiag.show``: a run on one screen of a notebook, which grows while the run trains."""

import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from graddiag.analysis import diagnose, key_figures, selections
from graddiag.errors import GraddiagError, SettingError
from graddiag.notebook.cards import diagnosis_card
from graddiag.notebook.display import HTML, OutputArea, in_notebook
from graddiag.notebook.html import line, tiles
from graddiag.run import Run, run_title
from graddiag.store import as_left, fingerprint, load_run, read_manifest, renewed
from graddiag.store import shown as named
from graddiag.views import ViewContext, view

if TYPE_CHECKING:
    from graddiag.recorder import Recorder

PICTURES: Final = ("course", "heat")
_CELLS: Final = 24_000
_GROUNDS: Final = {"light": "#ffffff", "dark": "#131720"}
_REST: Final = 9  # times what a refresh took that pass before the next: a tenth of one core at most
_SHORTEST: Final = 0.5

Content = Mapping[str, Any]


def show(
    run: "Run | Recorder | Path | str", *, refresh: float | None = 5.0, theme: Literal["light", "dark"] = "light"
) -> None:
    """Shows a run in a notebook: outcome and cause, what to do first, key figures, curves, the heatmap.

    Args:
        run: a run, the recorder of a training, or a run folder.
        refresh: seconds between two updates while the run trains, in the background; None shows it once. Call it
            before the training loop, in the same cell or an earlier one. An update takes a tenth of one core at most.
        theme: colours of the pictures.

    Outside a notebook the diagnosis is printed, with the commands that show more.

    Raises:
        RunFormatError: a folder that is no run, or a damaged one.
        SettingError: ``refresh`` is not positive.
    """
    if refresh is not None and not refresh > 0:
        raise SettingError(f"refresh {refresh}: give seconds above 0, or None to show the run once.")
    shown = run if isinstance(run, Run) else load_run(run if isinstance(run, Path | str) else run.path)
    if not in_notebook():
        print(in_terminal(shown))
        return
    screen, state = _Screen(theme), "" if shown.path is None else fingerprint(shown.path)
    screen.put(shown)
    if refresh is not None and shown.path is not None and as_left(shown.manifest).status == "running":
        follow = partial(_follow, shown.path, screen.put, max(refresh, _SHORTEST), state)
        threading.Thread(target=follow, name="graddiag-show", daemon=True).start()


def in_terminal(run: Run) -> str:
    """The short diagnosis of ``run``, and how to see the pictures without a notebook."""
    if run.path is None:
        return f"{diagnose(run).short()}\n\ngraddiag.show draws in a notebook; graddiag.write_report writes a report."
    root = run.path.parent.parent if run.manifest.experiment else run.path.parent
    ways = (f"graddiag dashboard --root {shlex.quote(named(root))}", f"graddiag report {shlex.quote(named(run.path))}")
    return "\n".join(
        [diagnose(run).short(), "", "graddiag.show draws in a notebook. Here:", *(f"  {each}" for each in ways)]
    )


def contents(run: Run, theme: Literal["light", "dark"] = "light") -> tuple[Any, ...]:
    """What is shown of ``run``: the card with its key figures, then each of ``PICTURES``. A picture is a plotly figure,
    everything else a mapping by MIME type."""
    figures = [(each.title, each.value, each.detail, each.alarming) for each in key_figures(run).figures]
    status = as_left(run.manifest).status
    head = line(f"{run_title(run.manifest)}: {status}", quiet=True)
    top = {HTML: f"{head}{diagnosis_card(diagnose(run))}{tiles(figures)}", "text/plain": diagnose(run).short()}
    return (top, *(_picture(key, run, theme) for key in PICTURES))


def _picture(key: str, run: Run, theme: Literal["light", "dark"]) -> Any:
    """A picture; where there is nothing to draw, why."""
    layers = selections(run)
    if key == "heat" and not layers:
        return {HTML: str(line("No timesteps were recorded, only scalars per step.", quiet=True))}
    context = ViewContext(layers[0] if layers else None, max_cells=_CELLS)
    (plot,) = view(key).plots([run], context)
    if plot.missing is not None:
        return {HTML: str(line(plot.missing, quiet=True))}
    figure = plot.figure(theme=theme, title=True)
    figure.update_layout(paper_bgcolor=_GROUNDS[theme])
    return figure


def _bundle(content: Any) -> Content:
    """``content`` by MIME type; of a figure as plotly's renderer for this notebook has it."""
    found: Content = content if isinstance(content, Mapping) else content._repr_mimebundle_()
    return found


@dataclass
class _Screen:
    """The places of a summary below its cell."""

    theme: Literal["light", "dark"]
    places: Sequence[OutputArea] = field(default_factory=lambda: [OutputArea() for _ in range(1 + len(PICTURES))])

    def put(self, run: Run) -> None:
        for place, content in zip(self.places, contents(run, self.theme), strict=True):
            place.put(_bundle(content))


def _follow(folder: Path, put: Callable[[Run], None], seconds: float, shown: str) -> None:
    """Puts the run anew whenever its folder has changed from ``shown``, and once it has ended. What cannot be read is
    tried again."""
    ended, pause = False, seconds
    while not ended:
        _rest(folder, pause)
        began = time.monotonic()
        try:
            here = renewed(folder)
            state, run = fingerprint(here), load_run(here)
            ended = as_left(run.manifest).status != "running"
            if state != shown or ended:
                put(run)
            shown = state
        except (GraddiagError, OSError):
            ended = not folder.is_dir()
        pause = max(seconds, _REST * (time.monotonic() - began))


def _rest(folder: Path, seconds: float) -> None:
    """Waits, and no longer than the run trains."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _SHORTEST))
        with suppress(GraddiagError, OSError):
            if as_left(read_manifest(folder)).status != "running":
                return
