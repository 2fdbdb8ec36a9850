"""A link opens a run under the root and nothing else; what it refuses, it refuses in words."""

from pathlib import Path

import pytest

from graddiag.errors import InputError
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import Made, pair, write
from tests.dashboards.test_pages import words
from ui.root import run_folder, runs_root

LEADING_OUT = ("../outside", "pair/../../outside", "/etc", "..", "pair/..", "..\\outside", "pair\0", "", "//etc/passwd")


@pytest.mark.parametrize("link", LEADING_OUT)
def test_a_link_cannot_leave_the_root(tmp_path: Path, link: str) -> None:
    write(tmp_path, Made("outside"))
    with pytest.raises(InputError, match="A link names a run by its path under the runs folder"):
        run_folder(tmp_path / "runs", link)


def test_a_symbolic_link_cannot_leave_the_root(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    (root / "sly").symlink_to(tmp_path / write(tmp_path, Made("outside")))
    with pytest.raises(InputError, match="leads out of the runs folder"):
        run_folder(root, "sly")


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'gone' under"):
        run_folder(tmp_path, "gone")


LONG = pytest.param("x" * 5_000, id="5,000 characters")


@pytest.mark.parametrize("link", [LONG, pytest.param("/".join(["x"] * 3_000), id="3,000 folders")])
def test_a_link_that_no_folder_can_have_names_no_run_and_is_shortened(link: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'x") as caught:
        run_folder(tmp_path, link)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_the_run_that_is_there(tmp_path: Path) -> None:
    link = write(tmp_path, pair()[0])
    assert run_folder(tmp_path, link) == tmp_path / "pair" / "lstm-off"


@pytest.mark.parametrize("link", ["gone", "../outside", "/etc/passwd", "<img src=x onerror=alert(1)>", LONG])
@pytest.mark.parametrize("name", ["run", "compare"])
def test_the_pages_refuse_in_words(open_page: Open, root: Path, name: str, link: str) -> None:
    write(root, pair()[0])
    write(root.parent, Made("outside"))
    page = open_page(name, run=link)
    assert not page.exception
    assert "Could not open" in words(page)
    assert "id-outside" not in words(page)


def test_a_folder_that_is_no_run_is_refused(open_page: Open, root: Path) -> None:
    write(root, pair()[0])
    assert "is not a run" in words(open_page("run", run="pair"))


def test_the_root_is_chosen_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.delenv("GRADDIAG_ROOT", raising=False)
    assert _root() == tmp_path / "runs"
    monkeypatch.setenv("GRADDIAG_ROOT", str(tmp_path / "named"))
    assert _root() == tmp_path / "named"
    monkeypatch.setattr("sys.argv", ["app.py", "--root", "given", "--rootless", "x"])
    assert _root() == tmp_path / "given"


def _root() -> Path:
    runs_root.cache_clear()
    try:
        return runs_root()
    finally:
        runs_root.cache_clear()
