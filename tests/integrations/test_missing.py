"""What is said where a library is not installed."""

import sys
from importlib import import_module

import pytest

from graddiag.errors import GraddiagError, MissingLibraryError

LIBRARIES = ("lightning", "transformers", "tensorboard", "mlflow", "wandb")


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library that cannot be imported, whether it is installed or not."""
    name = request.param
    for module in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, f"graddiag.integrations.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    if name == "lightning":  # its other package is as good
        monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    return name


def test_the_error_says_what_to_install(library: str) -> None:
    with pytest.raises(MissingLibraryError, match=rf"pip install 'graddiag\[{library}\]'") as caught:
        import_module(f"graddiag.integrations.{library}")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, GraddiagError)
