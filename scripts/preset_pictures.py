"""The pictures of docs/presets: each preset at its default size, and its figures of most note.

    python scripts/preset_pictures.py [NAME ...] [--root runs] [--out reports/lab]

What is trained already is not trained again. It needs Chromium and kaleido.
"""

import argparse
import shutil
from pathlib import Path
from typing import Final

from graddiag.cli import main
from graddiag.presets import ENTRIES, entry

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images" / "lab"


def draw(name: str, root: Path, out: Path) -> None:
    """Runs a preset and copies the figures that its page shows."""
    if main(["lab", name, "--png", "--root", str(root), "--out", str(out / name)]):
        raise SystemExit(1)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for picture, figure in entry(name).pictures.items():
        shutil.copyfile(out / name / "figures" / f"{figure}.png", IMAGES / f"{picture}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[each.name for each in ENTRIES if each.pictures])
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("reports", "lab"))
    asked = parser.parse_args()
    for each in asked.names:
        draw(each, asked.root, asked.out)
