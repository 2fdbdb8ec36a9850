"""Cells that researchers compare with RNN, LSTM and GRU, written in plain torch, one a module.

None of them has its backward pass written out: ``graddiag.watch(cells=...)`` takes total and immediate gradients and
the transport gain of the state from autograd. ``graddiag.lab.networks`` lists them.
"""
