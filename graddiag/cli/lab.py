"""``graddiag lab``: the presets, and one of them run: its runs, its figures, and what was seen in them."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graddiag.cli.options import Root
from graddiag.cli.progress import work_bar
from graddiag.cli.terminal import echo

if TYPE_CHECKING:
    from graddiag.presets.bench import Bench
    from graddiag.presets.preset import Preset, PresetSummary, Settings


def lab(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME | FILE.toml]", help="A preset, or settings of one; none lists them.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small size: seconds instead of minutes.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; once for each. --print shows them all."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="KEY=VALUE", help="Run it for several values of a setting; once for each."),
    ] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Print the settings as TOML, to be edited, and run nothing.")
    ] = False,
    as_sweep: Annotated[
        bool, typer.Option("--as-sweep", help="Print its trainings as TOML for graddiag sweep, and run nothing.")
    ] = False,
    root: Root = Path("runs"),
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where its report belongs; by default in reports/lab/NAME.")
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="Write each figure as PNG too; needs Chromium.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each a process with a thread.")] = 2,
) -> None:
    """List the presets of the lab, or run one: it records its runs and writes a short report with its figures."""
    if name is None:
        return _list()
    from graddiag.presets.bench import Bench
    from graddiag.presets.catalogue import load
    from graddiag.presets.preset import assigned, labelled, settings_label, settings_of, swept

    named, given = _asked(name)
    preset = load(named)
    given = {**given, **assigned(preset, settings or [])}
    variants = swept(preset, sweep or [])
    all_chosen = [settings_of(preset, {**given, **variant}, quick=quick) for variant in variants]
    if show or as_sweep:
        return _print(named, preset, all_chosen, as_sweep=as_sweep)
    size = "-quick" if quick else ""
    for variant, chosen in zip(variants, all_chosen, strict=True):
        apart, label = settings_label(preset, chosen, quick=quick, swept=variant), labelled(variant)
        with work_bar() as on_progress:
            told = _summary(preset, chosen, Bench(root, f"lab-{named}{size}{apart}{label}", workers, on_progress))
        folder = out or Path("reports", "lab", f"{named}{size}", _folder(apart))
        _say(variant, told, _report(named, chosen, told, folder / _folder(label), png=png))
    from graddiag.store import shown

    echo(f"Next: graddiag dashboard --root {shlex.quote(shown(root))}")
    return None


def _summary(preset: "Preset[Any]", chosen: "Settings", bench: "Bench") -> "PresetSummary":
    try:
        return preset.summarize(chosen, bench)
    except KeyboardInterrupt:
        echo("interrupted; what was recorded stays, and the same command continues from there.", err=True)
        raise typer.Exit(130) from None


def _folder(label: str) -> str:
    from graddiag.store import slug

    return slug(label) if label else ""


def _say(variant: "Mapping[str, Any]", told: "PresetSummary", report: Path) -> None:
    if variant:
        echo(f"{', '.join(f'{key} = {_value(value)}' for key, value in variant.items())}:")
    for sentence in told.seen:
        echo(sentence)
    echo(f"Report: {report}")


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from graddiag.presets import ENTRIES

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for each in ENTRIES:
        table.add_row(each.name, each.about)
    Console(highlight=False).print(table)
    echo("Next: graddiag lab NAME --quick")


def _asked(name: str) -> tuple[str, dict[str, Any]]:
    """The preset that is meant, and the settings that a file of it gives."""
    from graddiag.presets.preset import read

    return read(Path(name)) if name.endswith(".toml") else (name, {})


def _print(name: str, preset: "Preset[Any]", all_chosen: "Sequence[Settings]", *, as_sweep: bool) -> None:
    from graddiag.errors import SettingError
    from graddiag.presets.preset import sweeps_written, written

    if not as_sweep:
        echo("\n".join(written(name, chosen) for chosen in all_chosen), nl=False)
        return
    if preset.sweeps is None:
        raise SettingError(
            f"preset {name}: it cannot be written as a sweep; --sweep KEY=VALUE runs it for several values."
        )
    texts = [text for chosen in all_chosen for text in sweeps_written(preset.sweeps(chosen))]
    if len(texts) > 1:
        echo(f"# {len(texts)} experiments: put each into a separate file")
    echo("\n# next\n\n".join(texts), nl=False)


def _report(name: str, chosen: "Settings", told: "PresetSummary", folder: Path, *, png: bool) -> Path:
    from graddiag import __version__
    from graddiag.cli.progress import progress_line
    from graddiag.presets.catalogue import entry
    from graddiag.report.preset_report import PresetReport, write_preset_report

    report = PresetReport(
        title=name,
        about=entry(name).about,
        source=entry(name).source,
        seen=told.seen,
        parts=told.parts,
        settings=_settings(chosen),
        command=command(name, chosen),
        runs=tuple(str(path) for path in told.runs),
        graddiag_version=__version__,
    )
    with progress_line() as on_progress:
        return write_preset_report(report, folder, png=png, on_progress=on_progress)


def _settings(chosen: "Settings") -> Any:
    from graddiag.report.content import ReportGrid

    values, fields = chosen.model_dump(mode="json"), type(chosen).model_fields
    rows = [(key, _value(values[key]) or "none", field.description or "") for key, field in fields.items()]
    return ReportGrid("Settings", ("setting", "value", "what it is"), tuple(rows))


def command(name: str, chosen: "Settings") -> str:
    """The command that repeats it: with every setting that is not the default."""
    values = chosen.model_dump(mode="json", exclude_defaults=True)
    changed = [f"--set {shlex.quote(f'{key}={_value(value)}')}" for key, value in values.items()]
    return " ".join([f"graddiag lab {name}", *changed])


def _value(value: Any) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
