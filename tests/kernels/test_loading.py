"""When there are kernels, what they take, and that without them everything runs on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import graddiag
from graddiag import kernels

PROGRAM = """
import torch, graddiag
from graddiag import kernels
layer = torch.nn.LSTM(3, 4)
with graddiag.capture(layer) as captured:
    layer(torch.randn(5, 2, 3))[0].sum().backward()
print(kernels.compiled("lstm", torch.zeros(1)) is not None, captured.trace().grad_h.isfinite().all().item())
"""


def run(package: Path, **environment: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_the_package_is_imported_without_numba() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import graddiag, graddiag.nn, graddiag.tracing, sys; print('numba' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"


def test_tensors_that_kernels_do_not_take() -> None:
    pytest.importorskip("numba")
    fits = torch.zeros(2, 2)
    assert kernels.compiled("lstm", fits, None) is not None
    assert kernels.compiled("lstm", fits.double()) is None
    assert kernels.compiled("lstm", fits, fits.bfloat16()) is None
    assert kernels.compiled("lstm", fits.to("meta")) is None
    followed = fits.clone().requires_grad_()
    assert kernels.compiled("lstm", followed) is None
    with torch.no_grad():
        assert kernels.compiled("lstm", followed) is not None


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """The kernels are compiled for the process alone."""
    pytest.importorskip("numba")
    place = tmp_path / "file"
    place.write_text("no folder")
    assert run(Path(graddiag.__file__).parents[1], NUMBA_CACHE_DIR=str(place / "cache")) == "True True"


def test_numba_switched_off() -> None:
    assert run(Path(graddiag.__file__).parents[1], NUMBA_DISABLE_JIT="1") == "False True"
