"""What cannot be measured exactly is refused when graddiag is attached, by module name and with the reason."""

from collections.abc import Mapping

import torch
from torch import nn

from graddiag.errors import UnsupportedError
from graddiag.tracing.compiled import records_layers, stops_at_layers
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.storage import check_flat, check_measurable


def check_supported(model: nn.Module) -> None:
    """Raises UnsupportedError for a model whose gradients through time cannot be measured exactly.

    A compiled region that holds a recurrent cell (its Python hooks may not run), or a layer where torch.compile does
    not stop at layers; a scripted module, DataParallel (its replicas are new modules in other threads), FSDP1 and
    parameters of partial sums. Shards of DTensors are measured: see ``graddiag.recording.shares``.
    """
    for name, module in model.named_modules():
        check_flat(name, module)
        recurrent = recurrent_modules(module)
        if (inside := _unheard_if_compiled(recurrent)) is not None and _is_compiled(module):
            raise _refusal(
                name,
                module,
                f"torch.compile may run its recurrent {inside} where no hook can follow",
                "Watch the model that torch.compile was given, and call the recurrent part in a method with "
                "@torch.compiler.disable; or compile the parts around it.",
            )
        if isinstance(module, torch.jit.ScriptModule) and name == "":
            raise _refusal(name, module, "it is scripted", "Watch the Python module that it was made from.")
        if isinstance(module, nn.DataParallel) and recurrent:
            raise _refusal(name, module, "it runs copies of its modules", "Use DistributedDataParallel, or one device.")
    check_measurable(model.named_parameters())


def without_compiler(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile(model)`` was given; any other one as it is."""
    return model.get_submodule("_orig_mod") if _is_optimized(model) else model


def _is_compiled(module: nn.Module) -> bool:
    return _is_optimized(module) or getattr(module, "_compiled_call_impl", None) is not None


def _is_optimized(module: nn.Module) -> bool:
    return type(module).__name__ == "OptimizedModule" and hasattr(module, "_orig_mod")


def _unheard_if_compiled(recurrent: Mapping[str, nn.Module]) -> str | None:
    """What of the recurrent modules would run in compiled code; None where torch.compile stops at each of them."""
    stops = records_layers and stops_at_layers()
    for name, module in recurrent.items():
        if isinstance(module, nn.RNNCellBase) or not stops:
            kind = "cell" if isinstance(module, nn.RNNCellBase) else "layer"
            return f"{kind} {name or type(module).__name__!r}"
    return None


def _refusal(name: str, module: nn.Module, reason: str, way_out: str) -> UnsupportedError:
    return UnsupportedError(
        f"module {name or '(model)'!r} ({type(module).__name__}) cannot be watched: {reason}. {way_out}"
    )
