"""Imported by the process that workers are forked from: makes ready the kernels that every recorded step calls.

What numba sets up for its first kernel takes most of the time, and serves those of the cells too.
"""

from graddiag.kernels import load

load("signals")
