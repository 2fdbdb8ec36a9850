"""Runs the suite and prints its tables: ``python -m benchmarks.verdicts [--drawn 100 --seed 3] [--markdown FILE]``."""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from benchmarks.verdicts.cases import drawn, grid, reduced
from benchmarks.verdicts.tables import report
from benchmarks.verdicts.training import outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="the few trainings that the tests run")
    parser.add_argument("--drawn", type=int, metavar="N", help="N trainings at random, instead of the grid")
    parser.add_argument("--seed", type=int, default=0, help="of those draws")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases = reduced() if asked.reduced else drawn(asked.drawn, asked.seed) if asked.drawn else grid()
    console = Console(width=120)
    found = [outcome(case) for case in track(cases, "trainings", console=console)]
    text = report(found)
    console.print(text, markup=False, highlight=False)
    if asked.markdown:
        asked.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
