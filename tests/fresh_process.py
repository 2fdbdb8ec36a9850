"""Code run in a process forked from one that has imported the large libraries, and nothing of graddiag.

It runs as in a new interpreter, without the seconds of CPU time that importing torch, pandas and plotly takes. An
optimizer of torch imports ``torch._dynamo`` when it is made; numba is left out where it is not installed.
"""

import atexit
import multiprocessing
import os
import sys
import traceback
import warnings
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final, Literal

LIBRARIES: Final = [
    "torch",
    "torch._dynamo",
    "torch.distributed.tensor",
    "numba",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "plotly.graph_objects",
]
_context: Final[ForkServerContext] = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(LIBRARIES)


def run_code(code: str, folder: Path, warned: Literal["error", "error::RuntimeWarning"] = "error") -> tuple[int, str]:
    """Runs ``code`` as a program in ``folder``, warnings of the kind ``warned`` as errors.

    Returns:
        Its exit code, and what it wrote to stderr.
    """
    log = folder / ".stderr"
    process = _context.Process(target=_run, args=(code, folder, warned, log))
    process.start()
    process.join()
    assert process.exitcode is not None
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    return process.exitcode, text


def run_script(script: Path, folder: Path, *arguments: str) -> str:
    """Runs a file as ``python -W error::RuntimeWarning SCRIPT ARGUMENTS`` would in ``folder``.

    Returns:
        What it wrote to stdout.

    Raises:
        AssertionError: It failed. The message is what it wrote to stderr.
    """
    log = folder / ".stdout"
    code = (
        "import os, runpy, sys\n"
        f"os.dup2(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)\n"
        f"sys.argv = {[str(script), *arguments]!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "sys.stdout.flush()\n"
    )
    status, stderr = run_code(code, folder, "error::RuntimeWarning")
    assert status == 0, stderr
    text = log.read_text(encoding="utf-8")
    log.unlink()
    return text


def _run(code: str, folder: Path, warned: str, log: Path) -> None:
    loaded = [name for name in sys.modules if name == "graddiag" or name.startswith("graddiag.")]
    assert not loaded, f"loaded before the code runs: {loaded}"
    os.chdir(folder)
    with log.open("w", encoding="utf-8") as stderr:
        os.dup2(stderr.fileno(), 2)
        warnings.resetwarnings()
        warnings.filterwarnings("error", category=RuntimeWarning if "Runtime" in warned else Warning)
        sys.argv = ["-c"]
        try:
            exec(compile(code, "<block>", "exec"), {"__name__": "__main__"})
            atexit._run_exitfuncs()  # a process of multiprocessing ends without
        except BaseException:
            traceback.print_exc(file=stderr)
            stderr.flush()
            os._exit(1)
