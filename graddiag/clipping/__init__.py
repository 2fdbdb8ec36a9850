"""Clip policies: what is done to the gradients between the backward pass and the update.

A policy is called on parameters whose ``.grad`` is filled; it changes those gradients in place and says what it did.
It works on any model: ``policy = parse("norm:1.0")``, then ``policy(model.parameters())`` before ``optimizer.step()``.
``bptt:C`` and ``tbptt:K`` act inside of back-propagation, in graddiag.nn's layers: ``attach(policy, model)`` first.
``counterfactual`` tries several thresholds on the gradient at hand. What is known of each policy is in ``registry``.

No policy but ``value:C:nan=0`` protects against NaN, and none but ``value`` and ``spam`` against inf: where gradients
are scaled together, one inf makes its own entry NaN and every other entry 0. Such entries are counted.

Names are loaded when first used, so that a run can be read by ``registry`` without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graddiag.clipping.declaration import PolicyKind
from graddiag.clipping.registry import POLICIES, kind_of, read
from graddiag.deprecation import warn_renamed

if TYPE_CHECKING:
    from graddiag.clipping.adagc import AdaGC as AdaGC
    from graddiag.clipping.adaptive import AutoClip as AutoClip
    from graddiag.clipping.adaptive import ZClip as ZClip
    from graddiag.clipping.agc import UnitwiseClipping as UnitwiseClipping
    from graddiag.clipping.bptt import BpttClipping as BpttClipping
    from graddiag.clipping.bptt import TruncatedBptt as TruncatedBptt
    from graddiag.clipping.bptt import attach as attach
    from graddiag.clipping.fixed import NoClipping as NoClipping
    from graddiag.clipping.fixed import NormClipping as NormClipping
    from graddiag.clipping.fixed import ValueClipping as ValueClipping
    from graddiag.clipping.layerwise import LayerClipping as LayerClipping
    from graddiag.clipping.outcome import ClipOutcome as ClipOutcome
    from graddiag.clipping.outcome import ClipPolicy as ClipPolicy
    from graddiag.clipping.spam import SpikeAware as SpikeAware
    from graddiag.clipping.thresholds import ThresholdSweep as ThresholdSweep
    from graddiag.clipping.thresholds import Trial as Trial
    from graddiag.clipping.thresholds import counterfactual as counterfactual

_HOMES = {
    "AdaGC": "adagc",
    "AutoClip": "adaptive",
    "BpttClipping": "bptt",
    "ClipOutcome": "outcome",
    "ClipPolicy": "outcome",
    "LayerClipping": "layerwise",
    "NoClipping": "fixed",
    "NormClipping": "fixed",
    "SpikeAware": "spam",
    "ThresholdSweep": "thresholds",
    "Trial": "thresholds",
    "TruncatedBptt": "bptt",
    "UnitwiseClipping": "agc",
    "ValueClipping": "fixed",
    "ZClip": "adaptive",
    "attach": "bptt",
    "counterfactual": "thresholds",
}
_RENAMED = {"Looked": "ThresholdSweep", "Tried": "Trial"}

__all__ = ["POLICIES", "PolicyKind", "kind_of", "parse", "read", *_HOMES]


def parse(spec: str) -> "ClipPolicy":
    """The policy that ``spec`` names, new: ``none``, ``norm:1.0``, ``value:5``; ``POLICIES`` has them all.

    Raises:
        SettingError: an unknown policy, or a number that is missing, none, or out of its range.
    """
    from graddiag.clipping.registry import check

    return check(spec).make()


if not TYPE_CHECKING:  # a type checker is to see misspelt names

    def __getattr__(name: str) -> Any:
        if name in _RENAMED:
            new = _RENAMED[name]
            warn_renamed(f"graddiag.clipping.{name}", new)
            return __getattr__(new)
        if name in _HOMES:
            return getattr(import_module(f"graddiag.clipping.{_HOMES[name]}"), name)
        raise AttributeError(f"module 'graddiag.clipping' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
