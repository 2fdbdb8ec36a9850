"""Cells that graddiag knows no equations of: modules whose call takes a state and gives the next one."""

from graddiag.tracing.custom.cell_call import CellCall
from graddiag.tracing.custom.hooks import CellHooks
from graddiag.tracing.custom.measures import cell_signals, cell_snapshot
from graddiag.tracing.custom.replay import is_replaying
from graddiag.tracing.custom.sequence import CellTrace
from graddiag.tracing.custom.settings import Cells, followed_cells

__all__ = [
    "CellCall",
    "CellHooks",
    "CellTrace",
    "Cells",
    "cell_signals",
    "cell_snapshot",
    "followed_cells",
    "is_replaying",
]
