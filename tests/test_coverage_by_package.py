"""The table of ``make coverage``, by value."""

from scripts.coverage_by_package import by_package


def test_lines_are_summed_by_package() -> None:
    files = {
        "graddiag/run.py": (3, 4),
        "graddiag/cli/demo.py": (1, 2),
        "graddiag/lab/settings/data.py": (5, 5),
        "graddiag/lab/tasks.py": (0, 5),
        "graddiag/cells/__init__.py": (0, 0),
    }
    summaries = {
        path: {"summary": {"covered_lines": covered, "num_statements": lines}}
        for path, (covered, lines) in files.items()
    }
    assert by_package({"files": summaries}) == {"graddiag": (3, 4), "graddiag.cli": (1, 2), "graddiag.lab": (5, 10)}
