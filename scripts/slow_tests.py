"""``python -m scripts.slow_tests RESULTS.xml``: lists the tests that ``make quick`` leaves out, in ``tests/slow.txt``.

RESULTS.xml is of ``make test PYTEST_ARGS=--junitxml=RESULTS.xml``. A test function is listed by the mean of its cases.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Final
from xml.etree import ElementTree

LIST: Final = Path("tests/slow.txt")
SECONDS: Final = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that a case of a listed test takes, or more")
    chosen = parser.parse_args()
    found = slow_tests(ElementTree.parse(chosen.results).iter("testcase"), chosen.seconds)
    LIST.write_text("".join(f"{name}\n" for name in found))
    print(f"{len(found)} tests in {LIST}")


def slow_tests(cases: Iterable[ElementTree.Element], seconds: float) -> list[str]:
    """``tests/folder/test_file.py::test_name`` of each test whose cases take ``seconds`` or more in the mean."""
    taken: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        if case.get("classname"):  # a module that was skipped whole has none
            taken[_name(case)].append(float(case.get("time", 0)))
    return sorted(name for name, times in taken.items() if mean(times) >= seconds)


def _name(case: ElementTree.Element) -> str:
    """The class name is the module, with the class after it where there is one."""
    parts = case.get("classname", "").split(".")
    last = next(place for place, part in enumerate(parts) if part.startswith("test_")) + 1
    function = case.get("name", "").partition("[")[0]
    return "::".join(["/".join(parts[:last]) + ".py", *parts[last:], function])


if __name__ == "__main__":
    main()
