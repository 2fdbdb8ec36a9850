"""faster-rnnlm: five kinds of hidden units, every entry of the weights' gradient clamped to 1, NaN made 0.

Hidden layers of sigmoid, tanh, relu, truncated relu (capped at 20) and GRU, with truncated back-propagation, and noise-
contrastive estimation or a softmax at the output. The clamp is on the gradient of the weights, after back-propagation:
not the error vector of rnnlm, and not the norm of all. It is on the gradient of the mean over the streams, where
faster-rnnlm learns from one stream at a time.

Source: faster-rnnlm (Yandex), README and its options -hidden-type, -bptt, -nce, -learn-rate.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from graddiag import schema
from graddiag.analysis import number
from graddiag.figures.chart import chart
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.language import (
    HELD_OUT_LOSS,
    OfText,
    by_epoch,
    held_out_curve,
    last,
    perplexity,
    steps_of_an_epoch,
    unigrams,
    words_at,
)
from graddiag.presets.pages import folders, grid, listed, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportPart
from graddiag.run import Run

Hidden = Literal["sigmoid", "tanh", "relu", "truncated-relu", "gru"]


class FasterRnnlm(OfText):
    hidden_types: tuple[Hidden, ...] = Field(
        ("sigmoid", "tanh", "relu", "truncated-relu", "gru"),
        min_length=1,
        description="Kinds of hidden units, an arm each.",
    )
    hidden: int = Field(100, ge=1, description="Units of the hidden layer.")
    noise: int = Field(20, ge=0, description="Noise words of noise-contrastive estimation; 0 is a softmax.")
    bptt: int = Field(20, ge=1, description="Timesteps that back-propagation reaches; the state is carried over.")
    clamp: float = Field(1.0, gt=0, description="Each entry of a weight's gradient is clamped to this; NaN becomes 0.")
    lr: float = Field(0.1, gt=0, description="Learning rate of SGD, on the sum over the timesteps.")
    batch: int = Field(10, ge=1, description="Streams of text side by side.")
    vocabulary: int = Field(10_000, ge=2, description="Different words at most.")
    epochs: float = Field(1.0, gt=0, description="Times that the text is read.")


def sweeps(settings: FasterRnnlm) -> Sequence[SweepSpec]:
    """An arm for each kind of hidden units."""
    epoch = steps_of_an_epoch(words_at(settings.text, settings.vocabulary), settings.bptt, settings.batch)
    steps = max(1, round(epoch * settings.epochs))
    given: dict[str, Any] = {
        "output": f"nce:{settings.noise}" if settings.noise else "softmax",
        "hidden": settings.hidden,
        "embedding": settings.hidden,
        "clip": f"value:{settings.clamp!r}:nan=0",
        "lr": settings.lr,
        "loss": "sum",
        "batch": settings.batch,
        "vocabulary": settings.vocabulary,
        "stateful": True,
        "steps": steps,
        "evaluate_every": max(1, steps // 6),
    }
    if settings.text is not None:
        given["text"] = str(settings.text)
    arms = {kind: {"model": "gru"} if kind == "gru" else {"nonlinearity": kind} for kind in settings.hidden_types}
    spec = {"name": "lab-faster-rnnlm", "task": "words", "model": "rnn", "settings": given, "arms": arms}
    return (sweep_spec({**spec, "seeds": [settings.seed], "lengths": [settings.bptt]}),)


def summarize(settings: FasterRnnlm, bench: Bench) -> PresetSummary:
    """Trains every kind of units, and tells which learned most, and how often the clamp acted."""
    specs = [spec.model_copy(update={"name": bench.experiment}) for spec in sweeps(settings)]
    runs = bench.sweep(specs)
    corpus = words_at(settings.text, settings.vocabulary)
    epoch = steps_of_an_epoch(corpus, settings.bptt, settings.batch)
    reference = unigrams(corpus)
    table = _table(runs)
    seen = (_best(table, reference), _clamped(table, settings), _turned(table))
    curves = tuple(held_out_curve(run, epoch, str(run.manifest.arm)) for run in runs)
    learning = ReportPart(
        "Learning",
        tables=(grid("Kinds of hidden units", table),),
        pictures=(
            picture("Perplexity by epoch", _PERPLEXITY, chart, by_epoch(curves, ((reference, "word frequencies"),))),
        ),
    )
    return PresetSummary(seen, (learning, ReportPart("The gradient", pictures=recorded(runs))), folders(runs))


def _table(runs: Sequence[Run]) -> pd.DataFrame:
    """An arm a row: perplexity, largest norm before clipping, share of steps at which the clamp acted, and the smallest
    cosine between the gradient before and after it."""
    rows = []
    for run in runs:
        held_out, steps = last(run, HELD_OUT_LOSS), run.steps
        before, after = steps[schema.GRAD_NORM], steps[schema.GRAD_NORM_CLIPPED]
        rows.append(
            {
                "hidden units": str(run.manifest.arm),
                "perplexity, held out": np.nan if held_out is None else perplexity(held_out),
                "largest norm before clipping": float(before.max()),
                "steps clamped": float((after < before).mean()),
                "smallest cosine": float(steps["clip_cosine"].min()) if "clip_cosine" in steps else np.nan,
                "steps with NaN or inf": int((steps[schema.NONFINITE].fillna(0) > 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def _best(table: pd.DataFrame, reference: float) -> str:
    found = table.dropna(subset="perplexity, held out").sort_values("perplexity, held out")
    if found.empty:
        return f"No kind of units had a finite perplexity on held-out text; word frequencies give {number(reference)}."
    told = [f"{row.iloc[0]} {number(float(row.iloc[1]))}" for _, row in found.iterrows()]
    return f"Perplexity on held-out text: {listed(told)}; word frequencies alone give {number(reference)}."


def _clamped(table: pd.DataFrame, settings: FasterRnnlm) -> str:
    told = [f"{row.iloc[0]} at {row['steps clamped']:.0%}" for _, row in table.iterrows()]
    return f"An entry was over {settings.clamp:g}, and clamped, of {listed(told)} of the steps."


def _turned(table: pd.DataFrame) -> str:
    least = table.dropna(subset="smallest cosine").sort_values("smallest cosine")
    bad = int(table["steps with NaN or inf"].sum())
    whether = f"{bad} steps had NaN or inf in the gradient" if bad else "No step had NaN or inf in the gradient"
    if least.empty:
        return f"{whether}."
    row = least.iloc[0]
    return (
        f"The clamp turns the gradient as well: most under {row.iloc[0]}, where the cosine between before and after "
        f"was {number(float(row['smallest cosine']))} at its lowest. {whether}."
    )


_PERPLEXITY: Final = "Below the dotted line a network knows more than how often each word comes; log scale."

PRESETS: Final = {
    "faster-rnnlm": Preset(
        FasterRnnlm,
        quick={"hidden": 16, "vocabulary": 500, "epochs": 0.1, "hidden_types": ("sigmoid", "gru")},
        summarize=summarize,
        sweeps=sweeps,
    )
}
