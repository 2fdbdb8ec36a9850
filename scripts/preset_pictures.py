"""The pictures of docs/presets: each preset at its default size, and one of its figures.

    python scripts/preset_pictures.py [NAME ...] [--root runs] [--out reports/lab]

What is trained already is not trained again. It needs Chromium and kaleido.
"""

import argparse
import shutil
from pathlib import Path
from typing import Final

from graddiag.cli import main
from graddiag.presets import names

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images" / "lab"
SHOWN: Final = {
    "nplm": "perplexity-over-the-window",
    "cbow": "map-of-words-cbow",
    "saturation": "class-1-that-is-missed",
    "sum": "the-recurrent-weight",
    "tied": "contributions-and-their-sum",
    "explode-vanish": "two-descents-from-the-cliff",
    "rnnlm": "what-is-sent-back",
    "faster-rnnlm": "perplexity-by-epoch",
    "ptb-small": "perplexity-by-epoch",
    "char-rnn": "perplexity-by-epoch",
    "distance": "horizons-to-cover",
    "pascanu": "success-by-length-and-arm",
}


def draw(name: str, root: Path, out: Path) -> None:
    """Runs a preset and copies the figure that its page shows."""
    if main(["lab", name, "--png", "--root", str(root), "--out", str(out / name)]):
        raise SystemExit(1)
    IMAGES.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(out / name / "figures" / f"{SHOWN[name]}.png", IMAGES / f"{name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[name for name in names() if name in SHOWN])
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("reports", "lab"))
    asked = parser.parse_args()
    for each in asked.names:
        draw(each, asked.root, asked.out)
