"""A run of a remote root that a training continues: from the spool where it waits there, else fetched from the root."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

from pydantic import ValidationError

from graddiag.errors import RunFormatError
from graddiag.processes import this_process
from graddiag.run import RunManifest
from graddiag.store.files import MANIFEST
from graddiag.store.manifests import read_manifest
from graddiag.store.remote.objects import ObjectStore, RemoteError
from graddiag.store.remote.spool import Spooled, waiting
from graddiag.store.remote.upload import RunUpload
from graddiag.store.remote.urls import RemoteUrl
from graddiag.store.resumption import ResumePoint
from graddiag.store.slugs import is_numbered, slug


def brought_back(root: RemoteUrl, manifest: RunManifest, point: ResumePoint) -> Spooled | None:
    """The run that ``manifest`` names in the spool, with all of its files; None where there is no such run.

    Raises:
        RemoteError: it does not wait in the spool, and the root cannot be reached or refuses.
        OSError: it cannot be written here.
    """
    return _in_spool(root, manifest, point) or _fetched(root, manifest, point)


def _in_spool(root: RemoteUrl, manifest: RunManifest, point: ResumePoint) -> Spooled | None:
    found = [(each, read) for each in waiting(root) if (read := _manifest_of(each)) and _fits(read, manifest, point)]
    if not found:
        return None
    spooled, _ = max(found, key=lambda pair: pair[1].created)
    upload = RunUpload(spooled.folder or spooled.place, spooled.record)
    with suppress(RemoteError):
        if not upload.check():  # another process has continued it at its root, or it is there no more
            return None
    spooled.record.writer = this_process()
    spooled.keep()
    return spooled


def _manifest_of(spooled: Spooled) -> RunManifest | None:
    with suppress(RunFormatError):
        return None if spooled.folder is None else read_manifest(spooled.folder)
    return None


def _fetched(root: RemoteUrl, manifest: RunManifest, point: ResumePoint) -> Spooled | None:
    objects = ObjectStore(root)
    known = [(run, read) for run, read in _of_name(objects, manifest) if _fits(read, manifest, point)]
    if not known:
        return None
    run, read = max(known, key=lambda pair: pair[1].created)
    spooled = Spooled.begin(root, read)
    spooled.fetched = True
    files = [name for name in objects.found(run) if ".." not in PurePosixPath(name).parts]
    places = {f"{run}/{name}": spooled.runs / run / name for name in files}
    for place in places.values():
        place.parent.mkdir(parents=True, exist_ok=True)
    objects.download(places)
    spooled.record.run = run
    spooled.record.sent = {name: "" for name in files if name.endswith(".parquet")}
    spooled.keep()
    return spooled


def _of_name(objects: ObjectStore, manifest: RunManifest) -> Iterator[tuple[str, RunManifest]]:
    """The runs whose folders have the name, with their manifests: a listing, and the manifests at the same time."""
    name = slug(manifest.name, keep_case=True)
    folder = "" if manifest.experiment is None else slug(manifest.experiment, fallback="experiment") + "/"
    folders = objects.listed(folder.rstrip("/")).folders
    runs = [f"{folder}{each}" for each in folders if is_numbered(each, name)]
    for path, content in objects.read([f"{run}/{MANIFEST}" for run in runs]).items():
        with suppress(ValidationError):
            yield path.removesuffix(f"/{MANIFEST}"), RunManifest.model_validate_json(content)


def _fits(found: RunManifest, wanted: RunManifest, point: ResumePoint) -> bool:
    named = (found.name, found.experiment) == (wanted.name, wanted.experiment)
    return named and point.id in (None, found.id)
