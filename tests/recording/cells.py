"""A model with a cell in a loop, for the tests of ``watch(cells=...)``."""

from torch import Tensor, nn

from tests.tracing.custom.cells import H


class Model(nn.Module):
    """A cell in a loop, with a read-out of its own."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [T, N, I]; the result is [N, 1]."""
        h = x.new_zeros(x.shape[1], H)
        for x_t in x:
            h = self.cell(x_t, h)
        return self.head(h)
