"""The notebooks of the manual: they run, show what they promise, and are kept without outputs."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.needs import needs
from tests.notebook.parsed import parsed
from tests.test_language import _uses
from tests.waiting import SECONDS

FOLDER: Final = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS: Final = sorted(FOLDER.glob("*.ipynb"))
# words of the HTML that the cells of each show, in their order
SHOWN: Final = {
    "own-model": ("own-model: ", "Folder", "vanishing gradient", "Norm of dL/dh_t", "Norm of dL/dh_t"),
    "clipping": ("Final loss", "BROKEN BY NaN OR INF", "LEARN"),
}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def opened(path: Path) -> Any:
    nbformat = needs("nbformat", "dev")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_both_are_there_and_the_manual_links_them() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)
    page = (FOLDER.parent / "notebook.md").read_text(encoding="utf-8")
    assert set(re.findall(r"notebooks/([\w-]+)\.ipynb", page)) == set(SHOWN)


@each_notebook
def test_a_notebook_is_kept_without_outputs_and_uses_the_terms_of_the_field(path: Path) -> None:
    notebook = opened(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    text = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert [match[0] for each in text for match, _ in _uses(each)] == []


@pytest.mark.libraries
@pytest.mark.slow
@each_notebook
def test_a_notebook_runs_and_shows_its_results(path: Path, tmp_path: Path) -> None:
    nbclient = needs("nbclient", "dev")
    needs("ipykernel", "dev")
    notebook = opened(path)
    nbclient.NotebookClient(notebook, timeout=5 * SECONDS, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = [each for cell in notebook.cells if cell.cell_type == "code" for each in cell.outputs]
    assert [each.output_type for each in outputs if each.output_type in ("stream", "error")] == []
    shown = [
        html
        for each in outputs
        if "graddiag" in (html := each.data.get("text/html", "")) and "<table border" not in html
    ]
    assert len(shown) == len(SHOWN[path.stem])
    for html, words in zip(shown, SHOWN[path.stem], strict=True):
        assert words in parsed(html).text
