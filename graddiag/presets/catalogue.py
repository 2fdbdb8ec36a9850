"""Which presets there are, by name. Nothing heavy is imported until one of them is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from graddiag.errors import SettingError

if TYPE_CHECKING:
    from graddiag.presets.preset import Preset


@dataclass(frozen=True)
class CatalogueEntry:
    """A preset in the list.

    Attributes:
        name: as ``graddiag lab`` has it; about: what it is and shows, in one line; source: where it comes from.
        module: of ``graddiag.presets``, that holds it.
        pictures: its figures of most note, that its page shows, by the name of the picture.
        page: in docs/presets, where it is not called as the preset.
    """

    name: str
    about: str
    source: str
    module: str
    pictures: Mapping[str, str] = field(default_factory=dict)
    page: str = ""

    @property
    def manual(self) -> str:
        """Its page, from the root of the project."""
        return f"docs/presets/{self.page or self.name}.md"


_PTB: Final = "Zaremba, Sutskever & Vinyals (2014); TensorFlow's PTB tutorial"

ENTRIES: Final = (
    CatalogueEntry(
        "nplm",
        "Bengio's language model of a window of words, against n-gram counts and a recurrent net: the window's limit.",
        "Bengio, Ducharme, Vincent & Jauvin (2003); Chen & Goodman (1999)",
        "nplm",
        {"nplm": "perplexity-over-the-window"},
    ),
    CatalogueEntry(
        "cbow",
        "Word vectors from the words around (CBOW) and the reverse (skip-gram): neighbours of a word, and a map.",
        "Mikolov, Chen, Corrado & Dean (2013)",
        "cbow",
        {"cbow": "map-of-words-cbow"},
    ),
    CatalogueEntry(
        "remedies",
        "Every remedy on a task whose gradient vanishes and on one whose gradient explodes: success, horizon, cost.",
        "Those of the remedies, in docs/lab.md",
        "remedies",
    ),
    CatalogueEntry(
        "saturation",
        "Cross-entropy against squared error on a sigmoid: why the second learns nothing from its worst mistakes.",
        "Golik, Doetsch & Ney (2013); Glorot & Bengio (2010), section 4.1",
        "saturation",
        {"saturation": "class-1-that-is-missed"},
    ),
    CatalogueEntry(
        "sum",
        "A linear unit that sums its inputs, one that says which of two sums is larger: exact gradients, and learned.",
        "Hochreiter & Schmidhuber (1997), section 3.2",
        "sum",
        {"sum": "the-recurrent-weight"},
    ),
    CatalogueEntry(
        "tied",
        "What each timestep adds to the gradient of the one weight they share: the sum, and what of it cancels.",
        "Werbos (1990); Pascanu, Mikolov & Bengio (2013), equation 4",
        "tied",
        {"tied": "contributions-and-their-sum"},
    ),
    CatalogueEntry(
        "explode-vanish",
        "RNNs of four nonlinearities over gain and length against theory; the cliff, with and without clipping.",
        "Pascanu, Mikolov & Bengio (2013), sections 2.1 and 2.3, figure 6",
        "explode",
        {"explode-vanish": "two-descents-from-the-cliff", "explode-vanish-close": "the-start-of-both-close-up"},
    ),
    CatalogueEntry(
        "rnnlm",
        "Mikolov's language model: sigmoid units, words in classes, the error vector clamped inside of BPTT.",
        "Mikolov et al. (2010, 2011); rnnlm-0.4b",
        "rnnlm",
        {"rnnlm": "what-is-sent-back"},
    ),
    CatalogueEntry(
        "faster-rnnlm",
        "Five kinds of hidden units under an elementwise clamp, with noise-contrastive estimation.",
        "faster-rnnlm (Yandex)",
        "faster",
        {"faster-rnnlm": "perplexity-by-epoch"},
    ),
    CatalogueEntry(
        "ptb-small",
        "TensorFlow's tutorial of an LSTM language model, small: 2 layers of 200 units.",
        _PTB,
        "ptb",
        {"ptb-small": "perplexity-by-epoch"},
        "ptb",
    ),
    CatalogueEntry("ptb-medium", "The same, medium: 650 units, dropout.", _PTB, "ptb", page="ptb"),
    CatalogueEntry(
        "ptb-large", "The same, large: 1,500 units, more dropout; slow on a few cores.", _PTB, "ptb", page="ptb"
    ),
    CatalogueEntry(
        "char-rnn",
        "A network of characters that writes at several temperatures once it is trained.",
        "Karpathy (2015), char-rnn",
        "charrnn",
        {"char-rnn": "perplexity-by-epoch"},
    ),
    CatalogueEntry(
        "distance",
        "Recall and sentences over gaps of 2 to 200: where RNN, GRU and LSTM stop learning, and how predictably.",
        "Hochreiter (1991); Bengio, Simard & Frasconi (1994); Olah (2015)",
        "distance",
        {"distance": "accuracy-over-the-gap-recall"},
    ),
    CatalogueEntry(
        "pascanu",
        "The tasks of long distances under SGD, clipping, and clipping with Omega: success by length and seed.",
        "Pascanu, Mikolov & Bengio (2013)",
        "pascanu",
        {"pascanu": "success-by-length-and-arm"},
    ),
)


def names() -> tuple[str, ...]:
    """The names of all presets, in the order of the list."""
    return tuple(each.name for each in ENTRIES)


def entry(name: str) -> CatalogueEntry:
    """The entry of a preset.

    Raises:
        SettingError: there is none of that name.
    """
    found = next((each for each in ENTRIES if each.name == name), None)
    if found is None:
        raise SettingError(f"preset {name!r}: there is none of that name{_meant(name, names())}.")
    return found


def load(name: str) -> "Preset[Any]":
    """The preset itself, its module imported.

    Raises:
        SettingError: there is none of that name.
    """
    module = import_module(f"graddiag.presets.{entry(name).module}")
    found: Preset[Any] = module.PRESETS[name]
    return found


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; {near[0]} was meant, perhaps" if near else f"; these are: {', '.join(known)}"
