"""Options that several commands share, and how the settings of a training become options of a command."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from graddiag.lab.settings.declared import Setting, declared, with_present_names
from graddiag.lab.spec import TrainingSpec, training_spec
from graddiag.lab.tasks import depends_on_task

Root = Annotated[Path, typer.Option(help="Folder that holds the runs, or a URL: s3://BUCKET/PREFIX.")]
RunFolders = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Run folders or URLs of runs; a folder of runs means all of them."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_PANELS = {  # of the help, by the class that declares the setting
    "DataSettings": "Data",
    "ModelSettings": "Model",
    "UpdateSettings": "Loss, optimizer and clipping",
    "RecordingSettings": "Recording",
}
_GIVEN = {"task": "text", "model": "lstm"}  # where the command line names none
_APART = ("clip", "seed")  # which each command has in a way of its own


@dataclass(frozen=True)
class TrainingOptions:
    """What ``graddiag run`` and ``graddiag pair`` are given of a training; None takes the default of the task."""

    given: Mapping[str, Any]

    def spec(self, *, clip: str, seed: int, changed: Mapping[str, str] | None = None) -> TrainingSpec:
        """The spec they ask for, with some settings ``changed``, checked.

        Raises:
            SettingError: a name that is unknown or a number out of range.
        """
        return training_spec(**{**self.given, "clip": clip, "seed": seed, **(changed or {})})


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every setting of a training as an option, in place of ``options: TrainingOptions``.

    An option that has had another name keeps it, hidden from the help.
    """
    _, *others = inspect.signature(command, eval_str=True).parameters.values()
    settings = [setting for setting in declared(TrainingSpec) if setting.name not in _APART]
    former = {each.shown.former: each.name for each in settings if each.shown.former}

    @wraps(command)
    def called(**given: Any) -> None:
        before = {name: given.pop(former_name) for former_name, name in former.items()}
        chosen = {each.name: given.pop(each.name) for each in settings}
        options = chosen | {name: value for name, value in before.items() if value is not None}
        command(TrainingOptions(options), **given)

    parameters = [
        *(_parameter(each) for each in settings),
        *(_parameter(each, former=True) for each in settings if each.shown.former),
        *(other.replace(kind=inspect.Parameter.KEYWORD_ONLY) for other in others),
    ]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del called.__wrapped__
    return called


def help_of(name: str) -> str:
    """What a setting of a training is, for a command that declares the option itself."""
    return TrainingSpec.model_fields[name].description or ""


def _parameter(setting: Setting, *, former: bool = False) -> inspect.Parameter:
    """The parameter of a command that is the option of a setting; ``former``: under the name that it had."""
    name = str(setting.shown.former) if former else setting.name
    option = f"--{name.replace('_', '-')}"
    declaration = f"{option}/--no-{option[2:]}" if setting.type is bool else option
    about = typer.Option(
        declaration,
        help=setting.help,
        metavar=setting.shown.metavar,
        hidden=former,
        rich_help_panel=panel_of(setting.name),
        show_default=(default_of(setting) or False) if name not in _GIVEN else True,
    )
    kind = setting.type | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=_GIVEN.get(name), annotation=Annotated[kind, about]
    )


def panel_of(name: str) -> str:
    """The group of the help that a setting of a training belongs to."""
    owner = next(each for each in TrainingSpec.__mro__ if name in inspect.get_annotations(each))
    return _PANELS[owner.__name__]


def default_of(setting: Setting) -> str:
    """What a setting of a training is, or what happens, where it is left out; in words."""
    if setting.name in _GIVEN:
        return _GIVEN[setting.name]
    of_task = setting.shown.default is None and depends_on_task(setting.name)
    return "by task and model" if of_task else setting.default


def seeds_of(text: str) -> list[int]:
    """Seeds out of ``0,1,2``.

    Raises:
        SettingError: anything else.
    """
    from graddiag.errors import SettingError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"seeds {text!r}: write whole numbers with commas between them, for example 0,1,2."
        ) from None


def arm_of(text: str) -> dict[str, str]:
    """The settings that an arm changes, out of ``init=orthogonal,lr=0.05``.

    Raises:
        SettingError: anything else, or a setting that no arm may change.
    """
    from graddiag.errors import SettingError

    changed = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if not all(changed) or not all(changed.values()):
        raise SettingError(f"arms {text!r}: write SETTING=VALUE, with commas between several, for example lr=0.05.")
    allowed = [name for name in TrainingSpec.model_fields if name not in ("task", "seed", "threads")]
    named = with_present_names(TrainingSpec, {name.replace("-", "_"): value for name, value in changed.items()})
    unknown = next((name for name in named if name not in allowed), None)
    if unknown is not None:
        raise SettingError(f"arms {text!r}: {unknown!r} is no setting of an arm; these are: {', '.join(allowed)}.")
    return named
