"""A run as TensorBoard event files, with the numbers of its tables; needs tensorboard alone, neither torch nor
TensorFlow."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from graddiag.analysis import diagnose
from graddiag.integrations.curves import ExportedCurve, over_timesteps, over_training, wall_times
from graddiag.integrations.libraries import missing
from graddiag.integrations.target import new_folder
from graddiag.run import Run

try:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.metadata import create_summary_metadata
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
except ImportError as error:
    raise missing("tensorboard", error) from error

TRAINING: Final = "training"
TIMESTEPS: Final = "timesteps"


def export(run: Run, target: Path | str, *, force: bool = False) -> None:
    """Writes ``run`` as a log directory: ``tensorboard --logdir target``.

    ``training`` holds the curves over steps, at the time when each step ended, and as text the outcome, the cause, the
    diagnosis (``verdict``) and the manifest. ``timesteps/step_000100`` and so on hold what ||dL/dh_t|| and the other
    signals were at that step, with the timestep in the place of the step: tick several and set the axis to log, and
    they are one picture. TensorBoard keeps scalars as float32.

    Raises:
        SettingError: ``target`` is there already (and, with ``force``, is no export).
        InputError: it cannot be written.
    """
    began, times = run.manifest.created.timestamp(), wall_times(run)
    profiles = over_timesteps(run)
    with new_folder(run, target, "tensorboard", force=force) as folder:
        _write(folder / TRAINING, began, [*_texts(run, began), *_scalars(over_training(run), times, began)])
        width = len(str(max(profiles, default=0)))
        for step, curves in profiles.items():
            at = times.get(step, began)
            _write(folder / TIMESTEPS / f"step_{step:0{width}}", began, _scalars(curves, {}, at))


def _write(folder: Path, began: float, events: Iterable[Event]) -> None:
    """One event file in ``folder``, named after the time when the run began and not after the machine."""
    writer = EventFileWriter(str(folder))
    for event in events:
        writer.add_event(event)
    writer.close()
    (written,) = folder.iterdir()
    written.rename(folder / f"events.out.tfevents.{int(began)}.graddiag")


def _scalars(curves: Iterable[ExportedCurve], times: Mapping[int, float], otherwise: float) -> Iterable[Event]:
    for curve in curves:
        for x, value in zip(curve.x.tolist(), curve.values.tolist(), strict=True):
            yield _event(_scalar(curve.name, value, curve.meaning), x, times.get(x, otherwise))


def _scalar(tag: str, value: float, meaning: str) -> Summary:
    """A plain scalar, which readers of event files list among their scalars; the plugin's own form is a tensor."""
    metadata = create_summary_metadata(display_name="", description=meaning)
    return Summary(value=[Summary.Value(tag=tag, simple_value=value, metadata=metadata)])


def _texts(run: Run, began: float) -> Iterable[Event]:
    manifest = run.manifest.model_dump_json(indent=2)
    diagnosis = diagnose(run)
    texts = {
        "outcome": diagnosis.outcome.headline,
        "cause": diagnosis.causes[0].title if diagnosis.causes else "none found in the gradient",
        "verdict": diagnosis.full(),
        "manifest": manifest,
    }
    for tag, text in texts.items():
        yield _event(text_pb(tag, _as_code(text)), 0, began)


def _as_code(text: str) -> str:
    """The text as a block of code: what a name or a note holds is shown and not interpreted."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _event(summary: Summary, step: int, time: float) -> Event:
    return Event(wall_time=time, step=step, summary=summary)
