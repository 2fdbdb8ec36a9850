"""The list of tests that ``make quick`` leaves out: how it is made, and that it names tests that are there."""

import ast
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from scripts.slow_tests import slow_tests
from tests.conftest import SLOW_LIST

ROOT = Path(__file__).parent.parent
RESULTS = """<testsuites><testsuite>
<testcase classname="tests.folder.test_one" name="test_a[1]" time="0.1"/>
<testcase classname="tests.folder.test_one" name="test_a[2]" time="0.3"/>
<testcase classname="tests.folder.test_one" name="test_b" time="0.1"/>
<testcase classname="tests.test_two.TestIt" name="test_c" time="9"/>
</testsuite></testsuites>"""


def test_a_test_is_listed_by_the_mean_of_its_cases() -> None:
    cases = list(ElementTree.fromstring(RESULTS).iter("testcase"))
    assert slow_tests(cases, 0.2) == ["tests/folder/test_one.py::test_a", "tests/test_two.py::TestIt::test_c"]


def test_every_listed_test_is_there() -> None:
    listed = SLOW_LIST.read_text().split()
    assert listed == sorted(listed)
    gone = [name for name in listed if name.split("::")[-1] not in _functions_of(name.split("::")[0])]
    assert not gone, "make the list again: python -m scripts.slow_tests"


@cache
def _functions_of(file: str) -> set[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text() if path.exists() else "")
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
