import os
from pathlib import Path

import pytest

from graddiag.store.slugs import MAX_BYTES, make_run_folder, slug

AWKWARD = [
    "../..",
    "..",
    "/etc/passwd",
    "a/../../b",
    "",
    " . . ",
    "\0",
    "a\0b",
    "~root",
    "x" * 10_000,
    "梯" * 500,
    "con",
    "NUL.txt",
    "COM1",
    "\u202egnp.exe",
    "\uff0e\uff0e\uff0f\uff0e\uff0e",
    "🔥",
    "-rf",
    "C:\\runs",
    "a\nb",
    "<script>",
    "\ud800",
    "name.",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_never_leaves_the_root_and_can_always_be_created(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    folder = make_run_folder(root, name, name)
    assert folder.is_dir()
    assert folder.resolve().parent.parent == root.resolve()
    assert os.listdir(tmp_path) == ["root"]
    assert len(folder.name.encode()) <= MAX_BYTES + len("experiment-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LSTM, clip off", "lstm-clip-off"),
        ("run_1.5", "run_1.5"),
        ("Größe", "größe"),
        ("हिन्दी", "हिन्दी"),
        ("a / b", "a-b"),
        ("../../etc", "etc"),
        ("con.txt", "run-con.txt"),
        ("console", "console"),
        ("🔥", "run"),
    ],
)
def test_a_slug_keeps_letters_and_digits_of_any_script(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [make_run_folder(tmp_path, None, name).name for name in ("Run", "run", "RUN", "run-2")]
    assert names == ["Run", "run-2", "RUN-3", "run-2-2"]


@pytest.mark.parametrize("name", ["LSTM-1", "Größe", "Con-1"])
def test_a_run_is_found_under_the_name_that_it_was_given(tmp_path: Path, name: str) -> None:
    assert make_run_folder(tmp_path, None, name) == tmp_path / name
    assert make_run_folder(tmp_path, "Arms", name) == tmp_path / "arms" / name
    assert make_run_folder(tmp_path, "arms", name.lower()) == tmp_path / "arms" / f"{name.lower()}-2"


def test_names_that_differ_behind_the_cut_stay_apart(tmp_path: Path) -> None:
    first, second = (make_run_folder(tmp_path, None, "x" * 300 + end) for end in "ab")
    assert first != second


def test_an_experiment_is_not_put_inside_a_run_of_that_name(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path, None, "lstm")
    (run / "manifest.json").touch()
    assert make_run_folder(tmp_path, "lstm", "seed 0") == tmp_path / "lstm-2" / "seed-0"
    assert make_run_folder(tmp_path, "lstm", "seed 1") == tmp_path / "lstm-2" / "seed-1"
