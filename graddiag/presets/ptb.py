"""ptb-small, ptb-medium, ptb-large: TensorFlow's tutorial of an LSTM language model, with all its settings.

Two layers of LSTM over words, unrolled for ``num_steps``, the state carried from window to window; the loss summed over
timesteps and averaged over the batch; plain SGD whose rate falls after some epochs; the global norm clipped.

Sources: Zaremba, Sutskever & Vinyals (2014); TensorFlow's tutorial ``ptb_word_lm.py``, whose names the settings have.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import Field

from graddiag import schema
from graddiag.analysis import number
from graddiag.figures.chart import chart
from graddiag.lab.sweeps import SweepSpec, sweep_spec
from graddiag.presets.bench import Bench
from graddiag.presets.language import (
    HELD_OUT_LOSS,
    TEST_LOSS,
    OfText,
    against,
    by_epoch,
    held_out_curve,
    last,
    perplexity,
    steps_of_an_epoch,
    training_curve,
    unigrams,
    words_at,
)
from graddiag.presets.pages import folders, picture, recorded
from graddiag.presets.preset import Preset, PresetSummary
from graddiag.report.content import ReportPart
from graddiag.run import Run

CLIPPED: Final = "clip on"
FREE: Final = "clip off"


class Small(OfText):
    """The tutorial's SmallConfig, key for key, and how much of it is run."""

    published: ClassVar[float] = 115.91  # test perplexity on the Penn Treebank, as the tutorial gives it

    init_scale: float = Field(0.1, gt=0, description="Weights are drawn from U(-init_scale, init_scale).")
    learning_rate: float = Field(1.0, gt=0, description="Learning rate of SGD in the first epochs.")
    max_grad_norm: float = Field(5.0, gt=0, description="The global norm is clipped to this.")
    num_layers: int = Field(2, ge=1, description="Layers of LSTM.")
    num_steps: int = Field(20, ge=1, description="Timesteps that back-propagation reaches.")
    hidden_size: int = Field(200, ge=1, description="Units of each layer, and width of the embedding.")
    max_epoch: int = Field(4, ge=1, description="Epochs at the first learning rate.")
    max_max_epoch: int = Field(13, ge=1, description="Epochs in all.")
    keep_prob: float = Field(1.0, gt=0, le=1, description="1 less the share that is dropped out.")
    lr_decay: float = Field(0.5, gt=0, description="By what the rate is multiplied in each later epoch.")
    batch_size: int = Field(20, ge=1, description="Streams of text side by side.")
    vocab_size: int = Field(10_000, ge=2, description="Different words at most.")
    epochs: int | None = Field(None, ge=1, description="Stop after so many epochs; none runs max_max_epoch of them.")
    most_steps: int | None = Field(None, ge=1, description="Stop after so many steps, whatever epoch that is in.")
    without_clipping: bool = Field(False, description="Train once more, without clipping, and compare.")


class Medium(Small):
    """The tutorial's MediumConfig; on two cores an epoch of a small text takes minutes."""

    published: ClassVar[float] = 82.07

    init_scale: float = Field(0.05, gt=0, description="Weights are drawn from U(-init_scale, init_scale).")
    num_steps: int = Field(35, ge=1, description="Timesteps that back-propagation reaches.")
    hidden_size: int = Field(650, ge=1, description="Units of each layer, and width of the embedding.")
    max_epoch: int = Field(6, ge=1, description="Epochs at the first learning rate.")
    max_max_epoch: int = Field(39, ge=1, description="Epochs in all.")
    keep_prob: float = Field(0.5, gt=0, le=1, description="1 less the share that is dropped out.")
    lr_decay: float = Field(0.8, gt=0, description="By what the rate is multiplied in each later epoch.")
    epochs: int | None = Field(2, ge=1, description="Stop after so many epochs; none runs max_max_epoch of them.")


class Large(Small):
    """The tutorial's LargeConfig; on two cores a step takes four or five seconds."""

    published: ClassVar[float] = 78.29

    init_scale: float = Field(0.04, gt=0, description="Weights are drawn from U(-init_scale, init_scale).")
    max_grad_norm: float = Field(10.0, gt=0, description="The global norm is clipped to this.")
    num_steps: int = Field(35, ge=1, description="Timesteps that back-propagation reaches.")
    hidden_size: int = Field(1500, ge=1, description="Units of each layer, and width of the embedding.")
    max_epoch: int = Field(14, ge=1, description="Epochs at the first learning rate.")
    max_max_epoch: int = Field(55, ge=1, description="Epochs in all.")
    keep_prob: float = Field(0.35, gt=0, le=1, description="1 less the share that is dropped out.")
    lr_decay: float = Field(1 / 1.15, gt=0, description="By what the rate is multiplied in each later epoch.")
    most_steps: int | None = Field(40, ge=1, description="Stop after so many steps, whatever epoch that is in.")


def sweeps(settings: Small) -> Sequence[SweepSpec]:
    """The training as the lab has it; the tutorial's keys in the lab's words."""
    epoch, steps = lengths(settings)
    arms: dict[str, dict[str, Any]] = {CLIPPED: {"clip": f"norm:{settings.max_grad_norm!r}"}}
    if settings.without_clipping:
        arms = {FREE: {"clip": "none"}, **arms}
    given = {
        "init_uniform": settings.init_scale,
        "forget_bias": 0.0,
        "optimizer": "sgd",
        "lr": settings.learning_rate,
        "schedule": schedule(settings, epoch),
        "loss": "sum",
        "layers": settings.num_layers,
        "hidden": settings.hidden_size,
        "embedding": settings.hidden_size,
        "dropout": 1.0 - settings.keep_prob,
        "batch": settings.batch_size,
        "vocabulary": settings.vocab_size,
        "stateful": True,
        "steps": steps,
        "evaluate_every": min(epoch, max(1, steps // 3)),
        "text": None if settings.text is None else str(settings.text),
    }
    plain = {key: value for key, value in given.items() if value is not None}
    name = f"lab-ptb-{settings.hidden_size}"
    spec = {"name": name, "task": "words", "model": "lstm", "settings": plain, "arms": arms}
    return (sweep_spec({**spec, "seeds": [settings.seed], "lengths": [settings.num_steps]}),)


def lengths(settings: Small) -> tuple[int, int]:
    """Steps of an epoch of the text, and of the whole training."""
    corpus = words_at(settings.text, settings.vocab_size)
    epoch = steps_of_an_epoch(corpus, settings.num_steps, settings.batch_size)
    steps = epoch * min(settings.epochs or settings.max_max_epoch, settings.max_max_epoch)
    return epoch, min(steps, settings.most_steps or steps)


def schedule(settings: Small, epoch: int) -> str:
    """lr_decay ** max(epoch + 1 - max_epoch, 0), the epochs counted from 0, in steps."""
    if settings.lr_decay == 1:
        return "constant"
    return f"decay:{settings.lr_decay!r}:{settings.max_epoch * epoch}:{epoch}"


def summarize(settings: Small, bench: Bench) -> PresetSummary:
    """Trains, and tells the perplexity by epoch against the frequencies of the words alone."""
    specs = [spec.model_copy(update={"name": bench.experiment}) for spec in sweeps(settings)]
    runs = bench.sweep(specs)
    corpus = words_at(settings.text, settings.vocab_size)
    epoch, steps = lengths(settings)
    reference = unigrams(corpus)
    seen = [_learned(run, reference, corpus.source, len(corpus.train)) for run in runs]
    of = type(settings).model_fields["max_max_epoch"].default
    seen.append(
        f"That was {number(steps / epoch)} of the tutorial's {of} epochs, at {epoch} steps each. On the Penn "
        f"Treebank, which is another and larger text, the tutorial gives a test perplexity of {settings.published}."
    )
    seen += [_clipping(run, settings) for run in runs if run.manifest.arm == CLIPPED]
    return PresetSummary(tuple(seen), _parts(runs, settings, epoch, reference), folders(runs))


def _learned(run: Run, reference: float, source: str, words: int) -> str:
    held_out, test = last(run, HELD_OUT_LOSS), last(run, TEST_LOSS)
    found = None if held_out is None else perplexity(held_out)
    tested = "" if test is None else f" Its test perplexity is {number(perplexity(test))}."
    arm = "" if run.manifest.arm == CLIPPED else ", without clipping"
    told = against(found, reference, "the words' frequencies")
    return f"Trained on {words} words of {source}{arm}, the perplexity on held-out text is {told}.{tested}"


def _clipping(run: Run, settings: Small) -> str:
    before = run.steps[schema.GRAD_NORM]
    share = float((run.steps[schema.CLIP_COEFFICIENT] < 1).mean())
    return (
        f"The norm before clipping has a median of {number(float(before.median()))} and a maximum of "
        f"{number(float(before.max()))}; the threshold of {settings.max_grad_norm:g} acted at {share:.0%} of the steps."
    )


def _parts(runs: Sequence[Run], settings: Small, epoch: int, reference: float) -> tuple[ReportPart, ...]:
    curves = []
    for run in runs:
        arm = f", {run.manifest.arm}" if len(runs) > 1 else ""
        curves.append(held_out_curve(run, epoch, f"held out{arm}"))
        curves.append(training_curve(run, epoch, lambda loss: loss / settings.num_steps, f"training{arm}"))
    pictures = [
        picture("Perplexity by epoch", _PERPLEXITY, chart, by_epoch(tuple(curves), ((reference, "word frequencies"),))),
    ]
    return ReportPart("Learning", pictures=tuple(pictures)), ReportPart("The gradient", pictures=recorded(runs))


_PERPLEXITY: Final = "Below the dotted line the network knows more than how often each word comes; log scale."
_QUICK: Final = {"hidden_size": 24, "keep_prob": 0.9, "vocab_size": 500, "most_steps": 50}
PRESETS: Final = {
    "ptb-small": Preset(Small, quick=_QUICK, summarize=summarize, sweeps=sweeps),
    "ptb-medium": Preset(Medium, quick=_QUICK, summarize=summarize, sweeps=sweeps),
    "ptb-large": Preset(Large, quick=_QUICK, summarize=summarize, sweeps=sweeps),
}
