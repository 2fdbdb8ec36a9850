"""Clip policies: what is done to the gradients between the backward pass and the update.

A policy is called on parameters whose ``.grad`` is filled; it changes those gradients in place and says what it did.
It works on any model: ``policy = parse("norm:1.0")``, then ``policy(model.parameters())`` before ``optimizer.step()``.
``bptt:C`` and ``tbptt:K`` act inside of back-propagation, in graddiag.nn's layers: ``attach(policy, model)`` first.
``counterfactual`` tries several thresholds on the gradient at hand.

No policy but ``value:C:nan=0`` protects against NaN, and none but ``value`` against inf: where gradients are scaled
together, one inf makes its own entry NaN and every other entry 0. Such entries are counted.
"""

from graddiag.clipping.adaptive import AutoClip, ZClip
from graddiag.clipping.agc import UnitwiseClipping
from graddiag.clipping.bptt import BpttClipping, TruncatedBptt, attach
from graddiag.clipping.fixed import NoClipping, NormClipping, ValueClipping
from graddiag.clipping.outcome import ClipOutcome, ClipPolicy
from graddiag.clipping.spec import parse
from graddiag.clipping.thresholds import Looked, Tried, counterfactual

__all__ = [
    "AutoClip",
    "BpttClipping",
    "ClipOutcome",
    "ClipPolicy",
    "Looked",
    "NoClipping",
    "NormClipping",
    "Tried",
    "TruncatedBptt",
    "UnitwiseClipping",
    "ValueClipping",
    "ZClip",
    "attach",
    "counterfactual",
    "parse",
]
