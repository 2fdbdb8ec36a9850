"""Everything that reads a run, tried on a damaged one: each either works or ends with an error of graddiag's own."""

import contextlib
import io
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np

import graddiag
from benchmarks.torture.mutations import mutate
from graddiag import schema
from graddiag.errors import GraddiagError
from graddiag.report import write_report
from graddiag.store import fingerprint, read_manifests, root_fingerprint, write_table

SECONDS: Final = 60  # that one reader may take
MEMORY: Final = 6 * 2**30  # bytes of address space that a process of readers may take


@dataclass(frozen=True)
class Outcome:
    """What became of one mutated run. wrong: by reader, what was raised that should not have been."""

    seed: int
    damage: str
    refused: tuple[str, ...]
    wrong: dict[str, str]
    seconds: float


def tried(base: Path, seed: int, *, report_every: int = 20) -> Outcome:
    """Damages a copy of the run ``base`` and lets every reader try it, beside a good run; every so many with
    a report too."""
    random = np.random.default_rng(seed)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        shutil.copytree(base, root / "good", symlinks=True)
        shutil.copytree(base, root / "bad", symlinks=True)
        damage = mutate(root / "bad", random)
        refused, wrong = [], {}
        readers = READERS | ({"report": _report} if seed % report_every == 0 else {})
        for name, reader in readers.items():
            try:
                with _limited(), contextlib.redirect_stdout(io.StringIO()):
                    reader(root)
            except GraddiagError:
                refused.append(name)
                if name in NEVER_REFUSE:
                    wrong[name] = traceback.format_exc(limit=-4)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                wrong[name] = traceback.format_exc(limit=-4)
    return Outcome(seed, damage, tuple(refused), wrong, time.perf_counter() - started)


def limit_memory() -> None:
    """For a process that only tries readers."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))


def _load(root: Path) -> None:
    run = graddiag.load_run(root / "bad")
    for table in schema.TABLES:
        run.read(table)


def _list(root: Path) -> None:
    runs = graddiag.list_runs(root)
    good = runs[runs[schema.RUN] == "good"]
    if good[schema.STATUS].tolist() != ["finished"]:
        raise AssertionError(f"the good run is not listed as it is: {runs.to_dict('records')}")
    for _, row in runs.iterrows():
        if row[schema.STATUS] == "damaged" and not isinstance(row[schema.REASON], str):
            raise AssertionError("a damaged run without a reason")


def _manifests(root: Path) -> None:
    read_manifests(root)


def _fingerprints(root: Path) -> None:
    fingerprint(root / "bad")
    root_fingerprint(root)


def _diagnose(root: Path) -> None:
    found = graddiag.diagnose(graddiag.load_run(root / "bad"))
    str(found)


def _compare(root: Path) -> None:
    str(graddiag.compare([graddiag.load_run(root / "good"), graddiag.load_run(root / "bad")]))


def _export(root: Path) -> None:
    run = graddiag.load_run(root / "bad")
    for form in ("csv", "parquet"):
        write_table(run, schema.TABLE_TIMESTEPS, root / f"table.{form}", form)  # type: ignore[arg-type]


def _report(root: Path) -> None:
    write_report([graddiag.load_run(root / "bad")], root / "report.html")


READERS: Final[dict[str, Callable[[Path], None]]] = {
    "load": _load,
    "list": _list,
    "manifests": _manifests,
    "fingerprints": _fingerprints,
    "diagnose": _diagnose,
    "compare": _compare,
    "export": _export,
}
NEVER_REFUSE: Final = ("list", "manifests", "fingerprints")


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> Any:
        raise TimeoutError(f"more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
