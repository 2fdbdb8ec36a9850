"""``graddiag spectrum``: the recurrent weights of a checkpoint, and on data the Lyapunov exponents of its layers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graddiag.cli.options import AsJson
from graddiag.cli.rows import print_json, print_table
from graddiag.cli.terminal import echo
from graddiag.kinds import Nonlinearity

if TYPE_CHECKING:
    import pandas as pd

    from graddiag.analysis.flow.spectra import Lyapunov, WeightSpectrum
    from graddiag.checkpoint import Modules


def spectrum(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A state_dict saved with torch.save, or safetensors.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What goes into the recurrent layer, [T, N, features], as .npy or .pt: Lyapunov exponents on it.",
        ),
    ] = None,
    module: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A recurrent module by name; several times for several.")
    ] = None,
    nonlinearity: Annotated[Nonlinearity, typer.Option(help="Of RNNs, which no checkpoint tells.")] = "tanh",
    samples: Annotated[int, typer.Option(help="Sequences of the data to use, from the first on.")] = 8,
    transient: Annotated[
        int | None, typer.Option(help="Timesteps at the start that do not count; a tenth of them by default.")
    ] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(metavar="FIGURE.html", help="Draw it into this file as well.")] = None,
) -> None:
    """Show singular values and eigenvalues of recurrent weights, and Lyapunov exponents on data."""
    from graddiag.analysis.spectrum import spectra_of
    from graddiag.checkpoint import load_modules
    from graddiag.errors import SettingError

    if samples < 1:
        raise SettingError(f"samples {samples}: at least one sequence is needed; leave it out for 8.")
    modules = load_modules(checkpoint, only=module or (), nonlinearity=nonlinearity)
    weights = [each for name, one in modules.items() for each in _named(spectra_of(one, name=checkpoint.stem), name)]
    exponents = [] if data is None else _exponents(modules, data, samples, transient)
    if out is not None:
        _draw(weights, exponents, out)
    if as_json:
        print_json({"weights": [one.to_dict() for one in weights], "lyapunov": [one.to_dict() for one in exponents]})
        return
    if weights:
        print_table(_weight_rows(weights))
    else:
        echo("Every recurrent weight holds NaN or inf: there is no spectrum of such a matrix.")
    if exponents:
        print_table(_exponent_rows(exponents))
        for one in exponents:
            if one.missing:
                echo(one.missing)
    if out is not None:
        echo(f"wrote {out}")


def _named(spectra: "tuple[WeightSpectrum, ...]", module: str) -> "list[WeightSpectrum]":
    from dataclasses import replace

    return [replace(one, parameter=f"{module}.{one.parameter}" if module else one.parameter) for one in spectra]


def _exponents(modules: "Modules", data: Path, samples: int, transient: int | None) -> "list[Lyapunov]":
    """Of every layer of the modules that take the data's features."""
    from dataclasses import replace

    from graddiag.analysis.spectrum import lyapunov_of
    from graddiag.checkpoint import load_sequences
    from graddiag.errors import SettingError

    x = load_sequences(data)[:, :samples]
    fitting = {name: one for name, one in modules.items() if one.input_size == x.shape[-1]}
    if not fitting:
        takes = ", ".join(f"{name or '(model)'} {one.input_size}" for name, one in modules.items())
        raise SettingError(
            f"data {data}: it has {x.shape[-1]} features, and no recurrent module takes so many ({takes}). Give what "
            "goes into the recurrent layer itself, after any embedding."
        )
    for name in modules.keys() - fitting.keys():
        features = modules[name].input_size
        echo(f"{name or '(model)'} takes {features} features, the data has {x.shape[-1]}: left out.", err=True)
    found = [(name, each) for name, one in fitting.items() for each in lyapunov_of(one, x, transient=transient)]
    return [replace(each, selection=replace(each.selection, module=name)) for name, each in found]


def _weight_rows(weights: "list[WeightSpectrum]") -> "pd.DataFrame":
    import numpy as np

    rows = [
        {
            "weight": one.parameter,
            "gate": block.gate,
            "spectral radius": block.radius,
            "largest singular value": block.norm,
            "median": float(np.median(block.singular)),
            "smallest": float(block.singular[-1]),
        }
        for one in weights
        for block in one.blocks
    ]
    return _frame(rows)


def _exponent_rows(exponents: "list[Lyapunov]") -> "pd.DataFrame":
    rows = [
        {
            "layer": one.selection.label,
            "state": one.state,
            "timesteps": one.timesteps,
            "samples": len(one.by_sample),
            "largest exponent": float(one.exponents[0]),
            "from": float(one.spread[0][0]),
            "to": float(one.spread[1][0]),
            "smallest exponent": float(one.exponents[-1]),
            "sum": one.total,
            "horizon": one.horizon,
        }
        for one in exponents
    ]
    return _frame(rows)


def _frame(rows: "list[dict[str, Any]]") -> "pd.DataFrame":
    """A frame in which what is missing stays apart from NaN."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in rows[0]})


def _draw(weights: "list[WeightSpectrum]", exponents: "list[Lyapunov]", out: Path) -> None:
    from graddiag import figures
    from graddiag.errors import InputError

    figure = figures.spectrum(weights, exponents)
    try:
        figure.write_html(out, div_id="spectrum", config={"showSendToCloud": False, "displaylogo": False})
    except OSError as error:
        raise InputError(f"figure {out}: it cannot be written ({error.strerror or error}).") from error
