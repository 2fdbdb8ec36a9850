"""The pictures of docs/presets: each preset at its default size, and its figures of most note.

    python scripts/preset_pictures.py [NAME ...] [--root runs] [--out reports/lab]

What is trained already is not trained again. It needs Chromium and kaleido.
"""

import argparse
import shutil
from pathlib import Path
from typing import Final

from graddiag.cli import main

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images" / "lab"
SHOWN: Final = {  # by the picture's name: the preset, and its figure
    "nplm": ("nplm", "perplexity-over-the-window"),
    "cbow": ("cbow", "map-of-words-cbow"),
    "saturation": ("saturation", "class-1-that-is-missed"),
    "sum": ("sum", "the-recurrent-weight"),
    "tied": ("tied", "contributions-and-their-sum"),
    "explode-vanish": ("explode-vanish", "two-descents-from-the-cliff"),
    "explode-vanish-close": ("explode-vanish", "the-start-of-both-close-up"),
    "rnnlm": ("rnnlm", "what-is-sent-back"),
    "faster-rnnlm": ("faster-rnnlm", "perplexity-by-epoch"),
    "ptb-small": ("ptb-small", "perplexity-by-epoch"),
    "char-rnn": ("char-rnn", "perplexity-by-epoch"),
    "distance": ("distance", "accuracy-over-the-gap-recall"),
    "pascanu": ("pascanu", "success-by-length-and-arm"),
}


def draw(name: str, root: Path, out: Path) -> None:
    """Runs a preset and copies the figures that its page shows."""
    if main(["lab", name, "--png", "--root", str(root), "--out", str(out / name)]):
        raise SystemExit(1)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for picture, (preset, figure) in SHOWN.items():
        if preset == name:
            shutil.copyfile(out / name / "figures" / f"{figure}.png", IMAGES / f"{picture}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(dict.fromkeys(preset for preset, _ in SHOWN.values())))
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("reports", "lab"))
    asked = parser.parse_args()
    for each in asked.names:
        draw(each, asked.root, asked.out)
