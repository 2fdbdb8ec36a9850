"""The tasks digits and permuted digits: an image of a handwritten digit, one pixel a timestep; which is it?

The images are the 1,797 of 8 x 8 pixels that scikit-learn ships, so that nothing is downloaded; read row by row, or in
an order that is drawn once and is the same for every seed. They keep their order in the file: the first 1,437 are
trained on, the last 360 are held out. The dependency is spread over the sequence: ``DISTANCE`` has how many of the
last timesteps a nearest neighbour needs for at most 10% wrong answers on the held-out images.

A task counts as solved with at most 10% of the held-out images wrong, a criterion of graddiag: it is what a logistic
regression of all 64 pixels at once reaches on them.

Source: Le, Jaitly & Hinton (2015), section 4.2, with the 28 x 28 pixels of MNIST, 784 timesteps; the images are those
of Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, pixels from 0 to 16.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import torch
from torch import Generator, Tensor

from graddiag.errors import MissingLibraryError, SettingError
from graddiag.lab.task import Shape

PIXELS: Final = 64
CLASSES: Final = 10
TRAINED: Final = 1437
SOLVED: Final = 0.1
DISTANCE: Final = {False: 37, True: 34}  # by whether the pixels are permuted
_BRIGHTEST: Final = 16
_PERMUTATION_SEED: Final = 0


@dataclass(frozen=True)
class Digits:
    """Pixels [64, N, 1] from 0 to 1 and digits [N], asked at the last timestep. By chance ln 10, 90% wrong.

    Images are drawn with replacement. ``permuted``: their pixels come in one fixed random order.

    Raises:
        SettingError: another length than 64.
        MissingLibraryError: scikit-learn is not installed.
    """

    length: int
    batch_size: int
    permuted: bool = False

    shape = Shape(symbols=1, classes=CLASSES, answers="last", reads="numbers")
    loss_reduction = "mean over batch, at the last timestep"

    def __post_init__(self) -> None:
        if self.length != PIXELS:
            raise SettingError(
                f"length {self.length}: digits have {PIXELS} pixels, one a timestep; leave it out, or give {PIXELS}.",
                ("length",),
            )
        _images()

    @property
    def config(self) -> Mapping[str, Any]:
        chance = {"chance_loss": f"ln {CLASSES}", "chance_error": 1 - 1 / CLASSES}
        return {"distance": DISTANCE[self.permuted], **chance, "solved_error": SOLVED}

    def batch(self, generator: Generator) -> tuple[Tensor, Tensor]:
        return self._sequences(torch.randint(TRAINED, (self.batch_size,), generator=generator))

    @property
    def held_out_sequences(self) -> tuple[Tensor, Tensor]:
        """The images that are not trained on, in the order of the file: [64, 360, 1] and [360]."""
        return self._sequences(torch.arange(TRAINED, len(_images()[1])))

    def _sequences(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        pixels, digits = _images()
        order = permutation() if self.permuted else torch.arange(PIXELS)
        return pixels[chosen][:, order].T.unsqueeze(-1), digits[chosen]


def permutation() -> Tensor:
    """The pixel that comes at each timestep of permuted digits, [64]; of numpy's RandomState, which never changes."""
    return torch.from_numpy(np.random.RandomState(_PERMUTATION_SEED).permutation(PIXELS))


@cache
def _images() -> tuple[Tensor, Tensor]:
    """All images [1797, 64], float32 from 0 to 1, and their digits [1797], int64."""
    if find_spec("sklearn") is None:
        raise MissingLibraryError(
            "task digits: its images come with scikit-learn, which is not installed. Install it with "
            "`pip install 'graddiag[digits]'`."
        )
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    return torch.from_numpy(pixels).float() / _BRIGHTEST, torch.from_numpy(digits).long()
