"""Options that several commands share, and how a dataclass of options becomes options of a command."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graddiag.kinds import MODELS

if TYPE_CHECKING:
    from graddiag.lab.spec import TrainingSpec

Root = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Run folders; a folder of runs stands for all of them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_TASK = "By default what suits the task and the model."


@dataclass(frozen=True)
class TrainingOptions:
    """What ``graddiag run`` and ``graddiag pair`` know of a training; None takes the default of the task."""

    task: Annotated[
        str,
        typer.Option(
            help="text, words: predict the next character or word. temporal-order, temporal-order-3bit: say in which "
            "order two or three symbols came. adding, multiplication: say the mean or the product of two marked "
            "numbers. permutation, recall, memorisation: say again what came first, or the first ten. cloze: a word "
            "that an early one tells."
        ),
    ] = "text"
    model: Annotated[str, typer.Option(help=f"{', '.join(MODELS[:-1])} or {MODELS[-1]}.")] = "lstm"
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="UTF-8 text to learn, or a folder with train, valid and test files as of the Penn Treebank; by "
            "default sentences of a small grammar (task text) or Python's reference documentation (task words).",
        ),
    ] = None
    vocabulary: Annotated[int | None, typer.Option(help="Different words that the task words keeps.")] = None
    carry: Annotated[
        bool | None,
        typer.Option(
            "--carry/--no-carry",
            help="Read the text in order, each batch from the state of the last one, or anywhere in it. "
            "By default words are read in order.",
        ),
    ] = None
    steps: Annotated[int | None, typer.Option(help=f"Optimizer updates. {_TASK}")] = None
    until_error: Annotated[
        float | None,
        typer.Option(help="End as soon as the last 100 batches have at most this share of wrong answers."),
    ] = None
    lr: Annotated[float | None, typer.Option(help=f"Learning rate. {_TASK}")] = None
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, sgd:MOMENTUM, rmsprop:SMOOTHING or adam; by default sgd.")
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Of the learning rate: constant, or decay:FACTOR:AFTER:EVERY, in steps; by default constant."
        ),
    ] = None
    loss: Annotated[str | None, typer.Option(help="Over timesteps: mean or sum; by default their mean.")] = None
    length: Annotated[int | None, typer.Option(help=f"T, timesteps of a sequence. {_TASK}")] = None
    batch: Annotated[int | None, typer.Option(help=f"Sequences in a batch. {_TASK}")] = None
    hidden: Annotated[int | None, typer.Option(help=f"Units of each recurrent layer. {_TASK}")] = None
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1
    embedding: Annotated[int | None, typer.Option(help=f"Width of the symbols' embedding. {_TASK}")] = None
    dropout: Annotated[
        float | None, typer.Option(help="Share dropped of embedding, between layers and before the output.")
    ] = None
    output: Annotated[
        str | None,
        typer.Option(help="Of words and text: softmax, classes:C (class-factored) or nce:K (K noise words)."),
    ] = None
    init_std: Annotated[float | None, typer.Option(help=f"Draw weights from N(0, STD^2), biases 0. {_TASK}")] = None
    init_uniform: Annotated[
        float | None, typer.Option(help="Draw weights and biases from U(-BOUND, BOUND) instead.")
    ] = None
    forget_bias: Annotated[
        float | None,
        typer.Option(help=f"Bias at the start of the gate that keeps the state, f of an LSTM or z of a GRU. {_TASK}"),
    ] = None
    nonlinearity: Annotated[
        str | None,
        typer.Option(
            help="Units of an rnn: tanh, relu, sigmoid, identity or truncated-relu (0 to 20); by default tanh."
        ),
    ] = None
    layer_norm: Annotated[
        bool, typer.Option("--layer-norm", help="Normalise the pre-activations of an rnn over its units.")
    ] = False
    residual: Annotated[
        bool, typer.Option("--residual", help="Add to the state of an rnn instead of replacing it.")
    ] = False
    init: Annotated[
        str | None,
        typer.Option(
            help="Start of the recurrence: orthogonal; identity (an rnn with relu: the IRNN); chrono (gates that keep "
            "for 1 to T timesteps)."
        ),
    ] = None
    omega: Annotated[
        float | None,
        typer.Option(help="Weight of the regulariser that keeps an rnn's gradient from vanishing; by default none."),
    ] = None
    omega_form: Annotated[str | None, typer.Option(help="Of that regulariser: squared (default) or norm.")] = None
    h_detach: Annotated[
        float | None,
        typer.Option(help="Probability with which an lstm sends no gradient back through its gates; by default never."),
    ] = None
    every: Annotated[
        int | None,
        typer.Option(
            help="Record timesteps at every n-th step, by default about 300 times; scalars are recorded at each step."
        ),
    ] = None
    snapshot_every: Annotated[
        int | None,
        typer.Option(help="Take a snapshot (units, credit matrix, spectra) at every n-th step; by default at none."),
    ] = None
    look_every: Annotated[
        int | None,
        typer.Option(
            help="At every n-th step try several clip thresholds on the same batch, and record the loss after each; "
            "by default never."
        ),
    ] = None
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            help="Measure the loss on held-out text at every n-th step; by default for words at every 100th, for text "
            "at none."
        ),
    ] = None
    on_nonfinite: Annotated[str, typer.Option(help="At a NaN or inf in loss or gradient: continue or stop.")] = (
        "continue"
    )
    threads: Annotated[int, typer.Option(help="Threads of torch; equal threads and seed give equal numbers.")] = 1

    def spec(self, *, clip: str, seed: int, changed: Mapping[str, str] | None = None) -> "TrainingSpec":
        """The spec they ask for, with some settings ``changed``, checked.

        Raises:
            SettingError: a name that is unknown or a number out of range.
        """
        from graddiag.lab.spec import training_spec

        return training_spec(**{**asdict(self), "clip": clip, "seed": seed, **(changed or {})})


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its first parameter, ``options: TrainingOptions``, as options of their own."""
    _, *others = inspect.signature(command, eval_str=True).parameters.values()
    names = [field.name for field in fields(TrainingOptions)]
    spread_out = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(TrainingOptions)
    ]

    @wraps(command)
    def called(**given: Any) -> None:
        options = TrainingOptions(**{name: given.pop(name) for name in names})
        command(options, **given)

    parameters = [*spread_out, *(other.replace(kind=inspect.Parameter.KEYWORD_ONLY) for other in others)]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del called.__wrapped__
    return called


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
    from graddiag.lab.spec import TrainingSpec

    changed = dict(part.strip().partition("=")[::2] for part in text.split(","))
    if not all(changed) or not all(changed.values()):
        raise SettingError(f"arms {text!r}: write SETTING=VALUE, with commas between several, for example lr=0.05.")
    allowed = [name for name in TrainingSpec.model_fields if name not in ("task", "seed", "threads")]
    unknown = next((name for name in changed if name.replace("-", "_") not in allowed), None)
    if unknown is not None:
        raise SettingError(f"arms {text!r}: {unknown!r} is no setting of an arm; these are: {', '.join(allowed)}.")
    return {name.replace("-", "_"): value for name, value in changed.items()}
