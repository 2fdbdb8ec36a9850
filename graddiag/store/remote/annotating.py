"""Tags and notes of a run that is mirrored, written where it is."""

import json
from pathlib import Path

from graddiag.errors import InputError
from graddiag.store.files import ANNOTATIONS, MANIFEST
from graddiag.store.remote.layout import annotations_of_run
from graddiag.store.remote.objects import ObjectStore, RemoteError
from graddiag.store.remote.places import url_of_mirror


def send_annotations(folder: Path, content: bytes) -> None:
    """Writes the annotations of the run that ``folder`` mirrors; of a folder that mirrors none nothing.

    Raises:
        InputError: they cannot be written there.
    """
    url = url_of_mirror(folder)
    if url is None:
        return
    inside = json.loads((folder / MANIFEST).read_bytes()).get("experiment") is not None
    levels = 2 if inside else 1
    root, run = url, "/".join(url.parts[-levels:])
    for _ in range(levels):
        root = root.parent or root
    objects = ObjectStore(root)
    try:
        objects.write(f"{run}/{ANNOTATIONS}", content)
        objects.write(annotations_of_run(run), content)
    except RemoteError as error:
        raise InputError(f"{url} cannot be written: {error}. May the credentials of this machine write?") from error
