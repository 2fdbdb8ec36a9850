"""What a notebook can show, and how a part of it is replaced while a cell runs."""

import sys
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

HTML: Final = "text/html"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook (Jupyter, VS Code, Colab)."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class OutputArea:
    """A place below a cell for one output, which later ones replace."""

    def __init__(self) -> None:
        self._id = f"graddiag-{uuid4().hex}"
        self._used = False

    def put(self, content: Mapping[str, Any]) -> None:
        """Shows ``content`` by MIME type, in place of what was there."""
        from IPython.display import display

        display(dict(content), raw=True, display_id=self._id, update=self._used)
        self._used = True
