"""Code in a forked process: what goes wrong in it is seen, and it begins without graddiag."""

from pathlib import Path

import pytest

from tests.fresh_process import run_code, run_script


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("assert 1 == 2, 'not equal'", "AssertionError: not equal"),
        ("import warnings; warnings.warn('old', DeprecationWarning)", "DeprecationWarning: old"),
        ("import sys; sys.exit('stopped')", "SystemExit: stopped"),
    ],
)
def test_what_goes_wrong_is_an_exit_code_and_a_text(code: str, said: str, tmp_path: Path) -> None:
    status, stderr = run_code(code, tmp_path)
    assert status == 1
    assert said in stderr


def test_code_runs_in_its_folder_without_graddiag_loaded_and_its_exit_functions_run(tmp_path: Path) -> None:
    code = (
        "import sys, atexit, pathlib; assert 'torch' in sys.modules and 'graddiag' not in sys.modules\n"
        "atexit.register(lambda: pathlib.Path('done').write_text('yes'))"
    )
    assert run_code(code, tmp_path) == (0, "")
    assert (tmp_path / "done").read_text() == "yes"


def test_a_script_has_its_arguments_and_what_it_prints_is_returned(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv[1:], flush=True)\n"
        "    os.system('echo of a child')\n"
        "    print(os.getcwd())\n"
    )
    assert run_script(script, tmp_path, "one", "--two") == f"['one', '--two']\nof a child\n{tmp_path}\n"
    script.write_text("raise ValueError('in a script')")
    with pytest.raises(AssertionError, match="ValueError: in a script"):
        run_script(script, tmp_path)
