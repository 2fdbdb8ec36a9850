"""A run as an offline run of W&B, with the numbers of its tables; nothing leaves the machine until ``wandb sync``."""

import shutil
from pathlib import Path
from typing import Any, Final

from graddiag import schema
from graddiag.analysis import diagnose
from graddiag.integrations.curves import by_step, over_timesteps, over_training
from graddiag.integrations.libraries import missing
from graddiag.integrations.target import new_folder
from graddiag.run import Run

try:
    import wandb
except ImportError as error:
    raise missing("wandb", error) from error

TIMESTEP: Final = schema.TIMESTEP
PROFILES: Final = "timesteps"
_PROJECT: Final = "graddiag"


def export(run: Run, target: Path | str, *, force: bool = False) -> None:
    """Writes ``run`` as a folder ``offline-run-...`` in ``target``: ``wandb sync target/offline-run-*`` sends it.

    The project is the run's experiment, the group its arm, the history the curves over steps. Profiles are in the
    history too, as ``timesteps/step_100/...`` over their own axis ``timestep``. The summary has outcome, cause and
    verdict, the notes have the diagnosis. Neither the name of the machine nor code nor its git state are written.

    Raises:
        SettingError: ``target`` is there already (and, with ``force``, is no export).
        InputError: it cannot be written.
    """
    with new_folder(run, target, "wandb", force=force) as folder:
        inside = folder / "wandb"
        with wandb.init(**_identity(run), dir=str(folder), settings=_quiet(), reinit="create_new") as written:
            _history(run, written)
        for each in inside.glob("offline-run-*"):
            shutil.rmtree(each / "logs", ignore_errors=True)
            each.rename(folder / each.name)
        shutil.rmtree(inside)


def _history(run: Run, written: "wandb.Run") -> None:
    after = 0
    for step, row in by_step(over_training(run)):
        written.log(row, step=step)
        after = step + 1
    written.define_metric(f"{PROFILES}/*", step_metric=TIMESTEP)
    for step, profiles in enumerate(_profile_rows(run), start=after):  # W&B's own step can only go up
        written.log(profiles, step=step)
    diagnosis = diagnose(run)
    written.summary[schema.OUTCOME] = diagnosis.outcome.name
    written.summary[schema.CAUSE] = diagnosis.cause
    written.summary[schema.VERDICT] = diagnosis.verdict
    written.summary[schema.STATUS] = run.manifest.status


def _profile_rows(run: Run) -> list[dict[str, Any]]:
    """A row per timestep, with the values of every profile there."""
    rows: dict[int, dict[str, Any]] = {}
    for at, curves in over_timesteps(run).items():
        for timestep, values in by_step(curves):
            row = rows.setdefault(timestep, {TIMESTEP: timestep})
            row |= {f"{PROFILES}/step_{at}/{name}": value for name, value in values.items()}
    return [rows[timestep] for timestep in sorted(rows)]


def _identity(run: Run) -> dict[str, Any]:
    m = run.manifest
    return {
        "project": m.experiment or _PROJECT,
        "name": m.name,
        "id": m.id,
        "group": m.arm,
        "tags": list(m.tags),
        "notes": diagnose(run).full(),
        "config": m.model_dump(mode="json", exclude={"notes", "tags"}),
        "mode": "offline",
    }


def _quiet() -> "wandb.Settings":
    """Nothing on the console, nothing about the machine."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        host="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
