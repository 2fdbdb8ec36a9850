"""What cannot be measured exactly is refused when graddiag is attached, by module name and with the reason."""

import torch
from torch import nn

from graddiag.errors import UnsupportedError
from graddiag.tracing.hooks import recurrent_modules
from graddiag.tracing.storage import check_flat, check_measurable


def check_supported(model: nn.Module) -> None:
    """Raises UnsupportedError for a model whose gradients through time cannot be measured exactly.

    A compiled region that holds a recurrent layer (its Python hooks may not run), a scripted module, DataParallel
    (its replicas are new modules in other threads), FSDP1 and parameters of partial sums. Shards of DTensors are
    measured: see ``graddiag.recording.shares``.
    """
    for name, module in model.named_modules():
        check_flat(name, module)
        recurrent = recurrent_modules(module)
        if recurrent and _is_compiled(module):
            inside = next(iter(recurrent)) or type(module).__name__
            raise _refusal(
                name,
                module,
                f"torch.compile may run its recurrent layer {inside!r} where no hook can follow",
                "Watch the model that torch.compile was given, and call the layer in a method with "
                "@torch.compiler.disable; or compile the parts around the recurrent layers.",
            )
        if isinstance(module, torch.jit.ScriptModule) and name == "":
            raise _refusal(name, module, "it is scripted", "Watch the Python module that it was made from.")
        if isinstance(module, nn.DataParallel) and recurrent:
            raise _refusal(name, module, "it runs copies of its modules", "Use DistributedDataParallel, or one device.")
    check_measurable(model.named_parameters())


def _is_compiled(module: nn.Module) -> bool:
    optimized = type(module).__name__ == "OptimizedModule" and hasattr(module, "_orig_mod")
    return optimized or getattr(module, "_compiled_call_impl", None) is not None


def _refusal(name: str, module: nn.Module, reason: str, way_out: str) -> UnsupportedError:
    return UnsupportedError(
        f"module {name or '(model)'!r} ({type(module).__name__}) cannot be watched: {reason}. {way_out}"
    )
