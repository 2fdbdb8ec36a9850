"""Runs the suite and prints its tables: ``python -m benchmarks.verdicts [--split PART]``.

Trainings are kept under ``--root`` and are not repeated; ``--judge-only`` judges what is there. Of the parts that
are not looked at the tables are all that is printed, unless ``--show`` asks for the cases.
"""

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from benchmarks.verdicts.case import Split
from benchmarks.verdicts.rules import rivals
from benchmarks.verdicts.suite import SPLITS, Judged, cases, judge_all, prepare, recorded
from benchmarks.verdicts.tables import report, shown

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def main() -> None:
    asked = _parse()
    torch.set_num_threads(1)
    console = Console(width=150)
    splits: tuple[Split, ...] = SPLITS if asked.split == "all" else (asked.split,)
    chosen = cases(splits, asked.part)
    if not asked.judge_only:
        begun = time.perf_counter()
        count = len({case.key for case in chosen if not recorded(case, asked.root)})
        for _ in track(prepare(chosen, asked.root, asked.jobs), "trainings", total=count, console=console):
            pass
        console.print(f"{count} trainings in {time.perf_counter() - begun:.0f} s")
    begun = time.perf_counter()
    found = list(track(judge_all(chosen, asked.root, asked.jobs), "judgements", total=len(chosen), console=console))
    console.print(f"{len(found)} judgements in {time.perf_counter() - begun:.0f} s")
    text = tables(found)
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    for one in splits:
        if one == "tune" or asked.show:
            console.print(shown([each for each in found if each.case.split == one]), markup=False, highlight=False)
    if asked.markdown:
        write(asked.markdown, text)


def tables(found: list[Judged]) -> str:
    """The tables of each part; the rivals have the thresholds that are best on the tune part, or on what there is."""
    tune = [one for one in found if one.case.split == "tune"]
    rules = rivals(tune or found)
    titles = {
        "next": "Next: written last, after the rules, without sight of them or of the other parts",
        "later": "Later: written last, after the rules, without sight of them or of the other parts",
        "plain": "Plain: written last, without sight of the rules or of the other parts",
        "outside": "Outside: written after the others, without sight of the rules or of the other parts",
        "apart": "Apart: written last, without sight of the rules",
        "sealed": "Sealed: written by one who had read neither the rules nor any other part",
        "blind": "Blind: written after the last change of the rules, by one who had not read them",
        "unseen": "Unseen: written last, by one who had not read the rules",
        "fresh": "Fresh: written after the rules",
        "held-out": "Held out while the rules were written",
        "tune": "Tune: the rules were written on it",
    }
    parts = [(title, [one for one in found if one.case.split == split]) for split, title in titles.items()]
    return "\n\n".join(report(part, rules, title) for title, part in parts if part)


def write(path: Path, text: str) -> None:
    """Puts the tables between the markers of the page, or makes a page of them alone."""
    page = path.read_text() if path.exists() else ""
    head, marker, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}" if marker else f"{text}\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="tune")
    parser.add_argument("--part", default="", metavar="WORDS", help="only cases whose name or kind has them all")
    parser.add_argument("--root", type=Path, default=Path("runs/verdict-suite"), help="where trainings are kept")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--judge-only", action="store_true", help="judge what was trained, train nothing")
    parser.add_argument("--show", action="store_true", help="print cases of the other parts too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables between the markers of this page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
