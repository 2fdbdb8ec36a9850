"""How a training may end, each in a fresh process: the status is true, and the exception that is raised the user's."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import graddiag
from graddiag import schema
from graddiag.run import Run
from tests.fresh_process import run_code

TRAINING = """
import os, signal, sys, threading, time
import torch, graddiag

def training(name="r", every=1):
    torch.manual_seed(0)
    model = torch.nn.GRU(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    def steps(count, x=None):
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.ones(4, 2, 2) if x is None else x)[0].square().mean().backward()
            optimizer.step()
    return model, optimizer, steps, graddiag.watch(model, optimizer, run=name, every=every)
"""

# An optimizer imports torch's compiler, which takes seconds of a new interpreter and compiles nothing here.
NO_COMPILER = """
import sys, types
compiler = sys.modules["torch._dynamo"] = types.ModuleType("torch._dynamo")
compiler.disable, compiler.graph_break = (lambda function, *_, **__: function), (lambda: None)
"""


def ended(code: str, folder: Path, status: int = 0, said: str = "") -> Run:
    """The run of a program, whose exit code is ``status`` and which writes ``said`` to stderr, or nothing."""
    found, stderr = run_code(TRAINING + code, folder, "error::RuntimeWarning")
    assert found == status, stderr
    assert said in stderr if said else not stderr, stderr
    return graddiag.load_run(folder / "runs" / "r")


def state(run: Run) -> tuple[str, str | None, list[int]]:
    return run.manifest.status, run.manifest.error, run.steps[schema.STEP].tolist()


def test_a_program_that_ends_without_close_is_interrupted(tmp_path: Path) -> None:
    run = ended("model, optimizer, steps, recorder = training()\nsteps(3)", tmp_path)
    assert state(run) == ("interrupted", "The process ended before close() was called.", [0, 1, 2])


EXIT_CODES = {0: "finished", 3: "failed", 130: "interrupted", 143: "interrupted"}


@pytest.mark.parametrize(("code", "status"), EXIT_CODES.items())
def test_sys_exit_inside_of_with(code: int, status: str, tmp_path: Path) -> None:
    """130 and 143 are those of a program that SIGINT and SIGTERM ended."""
    body = f"model, optimizer, steps, recorder = training()\nwith recorder:\n    steps(3)\n    sys.exit({code})"
    run = ended(body, tmp_path, 1, f"SystemExit: {code}")
    assert state(run) == (status, f"SystemExit: {code}" if status == "failed" else None, [0, 1, 2])


def test_os_exit_leaves_a_run_that_reads_as_interrupted(tmp_path: Path) -> None:
    body = (
        "model, optimizer, steps, recorder = training()\nwith recorder:\n    steps(3); recorder.state_dict(); steps(2)"
    )
    run = ended(f"{body}\n    os._exit(7)", tmp_path, 7)
    assert (run.manifest.status, run.steps[schema.STEP].tolist()[:3]) == ("interrupted", [0, 1, 2])


def test_sigterm_leaves_a_run_that_reads_as_interrupted(tmp_path: Path) -> None:
    body = (
        "model, optimizer, steps, recorder = training()\nwith recorder:\n    steps(3); recorder.state_dict(); steps(2)"
    )
    run = ended(f"{body}\n    os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", tmp_path, -signal.SIGTERM)
    assert (run.manifest.status, run.steps[schema.STEP].tolist()[:3]) == ("interrupted", [0, 1, 2])


def test_a_handler_of_sigterm_that_exits_closes_the_run(tmp_path: Path) -> None:
    body = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
model, optimizer, steps, recorder = training()
with recorder:
    steps(3)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""
    assert state(ended(body, tmp_path, 1, "SystemExit: 143")) == ("interrupted", None, [0, 1, 2])


AGAIN = """
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
model, optimizer, steps, recorder = training()
flush = type(recorder._writer).flush
def flush_and_be_interrupted(writer):
    os.kill(os.getpid(), signal.{second})
    time.sleep(0.2)
    flush(writer)
type(recorder._writer).flush = flush_and_be_interrupted
error = {error}
try:
    with recorder:
        steps(3)
        raise error
except BaseException as caught:
    assert caught is error, caught
    assert caught.__context__ is None
assert not optimizer._optimizer_step_pre_hooks
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_a_second_signal_while_the_run_is_closed_changes_nothing(second: str, tmp_path: Path) -> None:
    run = ended(AGAIN.format(second=second, error="KeyboardInterrupt()"), tmp_path)
    assert state(run) == ("interrupted", None, [0, 1, 2])


def test_a_signal_while_a_run_is_closed_that_was_not_interrupted_comes_after(tmp_path: Path) -> None:
    body = AGAIN.format(second="SIGINT", error="None").replace("        raise error\n", "")
    body = body.replace("assert caught is error, caught", "assert isinstance(caught, KeyboardInterrupt)")
    body = body.replace("as caught:", "as caught:\n    seen = True")
    run = ended(f"{body}\nassert seen", tmp_path)
    assert state(run) == ("finished", None, [0, 1, 2])


def test_a_third_signal_ends_the_closing(tmp_path: Path) -> None:
    """Where the disk does not answer, whoever presses Ctrl-C again gets out."""
    body = AGAIN.format(second="SIGINT", error="ValueError()").replace(
        "    time.sleep(0.2)\n", "    time.sleep(0.2)\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(60)\n"
    )
    body = body.replace("assert caught is error, caught", "assert isinstance(caught, KeyboardInterrupt)")
    body = body.replace("    assert caught.__context__ is None\n", "    assert caught.__context__ is error\n")
    run = ended(body, tmp_path)
    assert run.manifest.status in ("interrupted", "failed")


WITHOUT_TEXT = """
class {name}(Exception):
    def __str__(self):
        {text}
model, optimizer, steps, recorder = training()
error = {name}()
try:
    with recorder:
        steps(2)
        raise error
except {name} as caught:
    assert caught is error
    assert caught.__context__ is caught.__cause__ is None
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("return 'no \\udc80 text \\ud83d'", "StrangeError: no ? text ?"),
        ("raise RuntimeError('no text either')", "StrangeError"),
        ("return 5", "StrangeError"),
        ("return '\\0' * 3 + 'x' * 10**6", None),
    ],
)
def test_an_exception_whose_text_cannot_be_kept(text: str, said: str | None, tmp_path: Path) -> None:
    run = ended(WITHOUT_TEXT.format(name="StrangeError", text=text), tmp_path)
    status, error, steps = state(run)
    assert (status, steps) == ("failed", [0, 1])
    assert error == said if said is not None else len(str(error)) == 10_000


def test_a_generator_that_is_dropped_interrupts_its_training(tmp_path: Path) -> None:
    body = """
def trained():
    model, optimizer, steps, recorder = training()
    with recorder:
        for step in range(100):
            steps(1)
            yield step
for step in (running := trained()):
    if step == 3:
        break
running.close()
"""
    assert state(ended(body, tmp_path)) == ("interrupted", None, [0, 1, 2, 3])


THREAD = """
def train(ending):
    model, optimizer, steps, recorder = training()
    with recorder:
        steps(3)
        ending()
def fail():
    raise ValueError("in a thread")
threading.excepthook = lambda args: None
thread = threading.Thread(target=train, args=({ending},))
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [("int", "finished", None), ("fail", "failed", "ValueError: in a thread"), ("sys.exit", "finished", None)],
)
def test_a_training_in_a_thread(ending: str, status: str, error: str | None, tmp_path: Path) -> None:
    assert state(ended(THREAD.format(ending=ending), tmp_path)) == (status, error, [0, 1, 2])


@pytest.mark.slow
def test_two_trainings_in_two_threads_are_recorded_as_each_alone(tmp_path: Path) -> None:
    body = """
def train(name, together=None):
    model, optimizer, steps, recorder = made[name]
    with recorder:
        for _ in range(40):
            if together is not None:
                together.wait()
            steps(1)
made = {name: training(name) for name in ("alone", "r", "other")}
train("alone")
together = threading.Barrier(2)
threads = [threading.Thread(target=train, args=(name, together)) for name in ("r", "other")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    run = ended(body, tmp_path)
    alone = graddiag.load_run(tmp_path / "runs" / "alone")
    for other in (run, graddiag.load_run(tmp_path / "runs" / "other")):
        assert other.manifest.status == "finished"
        assert other.events.empty
        for table in (schema.TABLE_TIMESTEPS, schema.TABLE_PARAMETERS, schema.TABLE_STEPS):
            without = [name for name in schema.TABLES[table].names if name != schema.WALL_TIME]
            assert alone.read(table, columns=without).equals(other.read(table, columns=without)), table


LOADER = """
from torch.utils.data import DataLoader, Dataset
class Sequences(Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, index):
        if index == {bad}:
            raise ValueError("a bad file")
        return torch.ones(2, 2)
model, optimizer, steps, recorder = training()
loader = DataLoader(
    Sequences(), batch_size=2, num_workers=2, persistent_workers={persistent}, multiprocessing_context="fork"
)
with recorder:
    for epoch in range(2):
        for x in loader:
            steps(1, x)
"""


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [True, False])
def test_workers_of_a_data_loader_leave_the_run_alone(persistent: bool, tmp_path: Path) -> None:
    run = ended(LOADER.format(bad=-1, persistent=persistent), tmp_path)
    assert state(run) == ("finished", None, list(range(12)))


@pytest.mark.slow
def test_an_exception_in_a_worker_is_that_of_the_loop(tmp_path: Path) -> None:
    run = ended(LOADER.format(bad=9, persistent=False), tmp_path, 1, "ValueError: a bad file")
    assert run.manifest.status == "failed"
    assert str(run.manifest.error).startswith("ValueError: Caught ValueError in DataLoader worker process")
    assert run.steps[schema.STEP].tolist() == list(range(len(run.steps)))


SPAWNED = """
import multiprocessing as mp, sys
{training}
def child(model, queue):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.ones(4, 2, 2))[0].square().mean().backward()
        optimizer.step()
    queue.put("trained")
    sys.exit(3)
if __name__ == "__main__":
    context = mp.get_context("{method}")
    model, optimizer, steps, recorder = training()
    with recorder:
        steps(2)
        queue = context.SimpleQueue()
        process = context.Process(target=child, args=(model, queue))
        process.start()
        assert queue.get() == "trained"
        process.join()
        assert process.exitcode == 3
        steps(2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_is_given_the_model_trains_it_and_leaves_the_run_alone(method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SPAWNED.format(training=NO_COMPILER + TRAINING, method=method))
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert state(graddiag.load_run(tmp_path / "runs" / "r")) == ("finished", None, [0, 1, 2, 3])
    assert len(list((tmp_path / "runs").iterdir())) == 1


SHUTDOWN = {
    "the recorder is a global": "model, optimizer, steps, recorder = training()\nsteps(3)",
    "a generator is suspended inside of with": """
def trained():
    model, optimizer, steps, recorder = training()
    with recorder:
        steps(3)
        yield
running = trained()
next(running)
""",
    "a thread trains on": """
def train():
    model, optimizer, steps, recorder = training()
    with recorder:
        steps(3)
        ready.set()
        while True:
            steps(1)
ready = threading.Event()
threading.Thread(target=train, daemon=True).start()
ready.wait()
""",
    "an exit function trains": """
import atexit
model, optimizer, steps, recorder = training()
atexit.register(steps, 3)
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", SHUTDOWN.values(), ids=SHUTDOWN)
def test_the_shutdown_of_the_interpreter_closes_the_run(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", NO_COMPILER + TRAINING + code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    if "daemon" not in code:  # torch itself aborts the end of a process in which a daemon thread trains
        assert (done.returncode, done.stderr) == (0, "")
    run = graddiag.load_run(tmp_path / "runs" / "r")
    assert run.manifest.status == "interrupted"
    assert run.steps[schema.STEP].tolist() == list(range(len(run.steps)))
    assert len(run.steps) >= 3
