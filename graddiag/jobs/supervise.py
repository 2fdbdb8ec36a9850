"""``python -m graddiag.jobs.supervise FOLDER ARGUMENT...``: runs ``graddiag ARGUMENT...`` and writes down how it ended.

It leads the group of the job. A signal to the group reaches the command, which ends as it sees fit; this process waits
for it. The standard library alone is imported here, so that it weighs next to nothing beside the work.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ENDED: Final = "ended.json"
_WAITED_OUT: Final = ("SIGINT", "SIGTERM", "SIGHUP")


def main(arguments: Sequence[str]) -> int:
    folder, *command = arguments
    for name in _WAITED_OUT:  # a handler, not SIG_IGN: the command would inherit that, and not be stopped by Ctrl-C
        signal.signal(getattr(signal, name), lambda *_: None)
    process = subprocess.Popen([sys.executable, "-P", "-m", "graddiag", *command], stdin=subprocess.DEVNULL)
    code = process.wait()
    write_ended(Path(folder), code)
    return 0


def write_ended(folder: Path, code: int) -> None:
    """How it ended, written atomically. A folder that is gone by then was dismissed by a user."""
    content = json.dumps({"code": code, "ended": datetime.now(UTC).isoformat()})
    aside = folder / f".{ENDED}"
    try:
        with open(aside, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(content)
        os.replace(aside, folder / ENDED)
    except FileNotFoundError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
