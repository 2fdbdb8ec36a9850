"""The runs that an address asks for, opened; what could not be opened is reported in words."""

from collections.abc import Sequence

from graddiag.errors import GraddiagError
from ui.results import OpenRun, open_run
from ui.text import refusal


def opened(links: Sequence[str]) -> list[OpenRun]:
    """The runs that can be opened; each of the others is refused in words."""
    runs = []
    for link in dict.fromkeys(links):
        try:
            runs.append(open_run(link))
        except GraddiagError as error:
            refusal("Could not open run", str(error))
    return runs
