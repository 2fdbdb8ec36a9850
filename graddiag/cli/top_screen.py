"""The live screen of ``graddiag top``, made with Textual: the runs of a root, and one run with its layers."""

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static

from graddiag.analysis import LayerStatus, number
from graddiag.cli.rows import printable
from graddiag.cli.top import statuses
from graddiag.monitor import RunStatus, bars, layer_name
from graddiag.store import shown

_COLOURS: Final = {
    "learned": "green",
    "learning": "green",
    "stuck": "red",
    "diverged": "red",
    "broken": "red",
    "overfits": "yellow",
}
_RUN_COLUMNS: Final = ("run", "status", "time", "step", "loss", "best", "outcome", "cause")
_LAYER_COLUMNS: Final = ("layer", "reaches far end", "horizon", "gain", "saturated", "‖dL/dh‖ over timesteps, log")
_BARS: Final = 32


class TopScreen(App[None]):
    """Every run under a folder; Enter opens one. A folder that is a run is opened at once."""

    TITLE = "graddiag top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: auto; padding: 0 1; }
    #events { height: auto; max-height: 8; padding: 0 1; }
    DataTable { height: auto; max-height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("s", "sort", "Sort"),
        ("escape", "all_runs", "All runs"),
    ]

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__()
        self._folder = folder
        self._seconds = seconds
        self._open: str | None = None
        self._by_reach = False
        self._found: list[RunStatus] = []

    def compose(self) -> ComposeResult:
        yield Static("reading ...", id="head")
        yield DataTable(id="table", cursor_type="row", zebra_stripes=True)
        yield VerticalScroll(Static("", id="events", markup=False))
        yield Footer()

    def on_mount(self) -> None:
        self.set_interval(self._seconds, self._read)
        self._read()

    @work(thread=True, exclusive=True)
    def _read(self) -> None:
        """Reads the folders beside the screen, so that no key waits for a disk."""
        found = statuses(self._folder)
        self.call_from_thread(self._show, found)

    def _show(self, found: list[RunStatus]) -> None:
        self._found = found
        opened = next((each for each in found if each.run == self._open), None)
        if opened is None and len(found) == 1:
            opened = found[0]
        if opened is None:
            self._show_runs()
        else:
            self._show_run(opened)

    def _show_runs(self) -> None:
        running = sum(not each.ended for each in self._found)
        self.query_one("#head", Static).update(
            Text(f"{shown(self._folder)}: {len(self._found)} runs, {running} running")
        )
        self._fill(_RUN_COLUMNS, [(each.run, self._run_row(each)) for each in self._found])
        self.query_one("#events", Static).update(Text("Enter opens a run", "dim"))

    def _run_row(self, run: RunStatus) -> list[Text]:
        return [
            Text(printable(_within(run.run, self._folder))),
            Text(run.status),
            Text(_clock(run.seconds)),
            Text("-" if run.step is None else f"{run.step:,}", justify="right"),
            Text(_value(run.loss), justify="right"),
            Text(_value(run.best), justify="right"),
            _outcome(run),
            Text(run.cause or "-"),
        ]

    def _show_run(self, run: RunStatus) -> None:
        self.query_one("#head", Static).update(_head(run, _within(run.run, self._folder)))
        layers = sorted(run.layers, key=_reach) if self._by_reach else list(run.layers)
        self._fill(_LAYER_COLUMNS, [(str(each.selection), _layer_row(each, run)) for each in layers])
        lines = [f"step {each.step:,}  {each.message}" for each in reversed(run.events)]
        about = printable(run.missing) if run.missing else "\n".join(map(printable, lines))
        self.query_one("#events", Static).update(Text(about))

    def _fill(self, columns: tuple[str, ...], rows: list[tuple[str, list[Text]]]) -> None:
        """Puts the rows into the table; the cursor stays on its line."""
        table = self.query_one("#table", DataTable)
        line = table.cursor_row
        table.clear(columns=True)
        table.add_columns(*columns)
        for key, cells in rows:
            table.add_row(*cells, key=key)
        if rows:
            table.move_cursor(row=min(line, len(rows) - 1))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click, on a run."""
        if self._open is None and len(self._found) > 1:
            self._open = event.row_key.value
            self._show(self._found)

    def action_all_runs(self) -> None:
        """Back to all runs."""
        self._open = None
        self._show(self._found)

    def action_sort(self) -> None:
        """Layers by what reaches the far end, the least first; again: as they ran."""
        self._by_reach = not self._by_reach
        self._show(self._found)


def _head(run: RunStatus, name: str) -> Text:
    """Name, status, time, step, loss, outcome and clipping in one or two lines."""
    text = Text.assemble((printable(name), "bold"), f"   {run.status} {_clock(run.seconds)}")
    if run.step is not None:
        text.append(f"   step {run.step:,}   loss {_value(run.loss)} (best {_value(run.best)})   ")
        text.append_text(_outcome(run))
        text.append(f"   cause: {run.cause}" if run.cause else "")
    if run.clip is not None:
        share = "" if run.clipped_share is None else f" engaged {run.clipped_share:.1%}"
        text.append(f"   clip {printable(run.clip)}{share}")
    if run.nonfinite_steps:
        text.append(f"   NaN or inf at {run.nonfinite_steps:,} steps", "red")
    return text


def _layer_row(layer: LayerStatus, run: RunStatus) -> list[Text]:
    among = [each.selection for each in run.layers]
    horizon = "-" if layer.horizon is None else f"{number(layer.horizon)} / {layer.length}"
    saturated = "  ".join(f"{gate} {share:.0%}" for gate, share in layer.saturated.items())
    return [
        Text(printable(layer_name(layer.selection, among))),
        Text(_share(layer.share), justify="right"),
        Text(horizon, justify="right"),
        Text(_value(layer.gain), justify="right"),
        Text(printable(saturated) or "-"),
        Text(bars(layer.norms.tolist(), _BARS)),
    ]


def _reach(layer: LayerStatus) -> float:
    return float("inf") if layer.share is None else layer.share


def _share(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if 1e-3 <= value < 10 else number(value)


def _value(value: float | None) -> str:
    return "-" if value is None else number(value)


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=int(seconds)))


def _outcome(run: RunStatus) -> Text:
    name = run.outcome or ("" if run.status == "damaged" else "not judged yet")
    return Text(name.upper() if run.outcome else name, _COLOURS.get(name, ""))


def _within(run: str, folder: Path) -> str:
    """The name of a run as the folder that is shown has it."""
    return run.removeprefix(f"{shown(folder)}/") if run != shown(folder) else run.rpartition("/")[2]
