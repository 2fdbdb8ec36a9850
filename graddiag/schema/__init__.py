"""The contract of a run: its tables, their columns (dtype, unit, meaning) and the words a column may hold.

Norms are L2 over batch and units together, in units of the loss, before clipping unless the name ends in ``_clipped``.
What was not measured is null, never 0; NaN and inf are findings and are kept. ``names`` has every name but
those of the signals, which ``signals`` declares; ``tables`` says what each column means. All are read as
``schema.STEP``, ``schema.TABLES``.
"""

from graddiag.schema.keys import TRACE_KEYS as TRACE_KEYS
from graddiag.schema.keys import TraceKey as TraceKey
from graddiag.schema.names import *  # noqa: F403
from graddiag.schema.signals import *  # noqa: F403
from graddiag.schema.tables import TABLES as TABLES
from graddiag.schema.tables import Column as Column
from graddiag.schema.tables import Table as Table
