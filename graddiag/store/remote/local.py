"""The folder on this machine that a root or a run is read from: itself, or the mirror of what is remote."""

from pathlib import Path

from graddiag.store.remote.mirror import mirror_run, reading
from graddiag.store.remote.objects import ObjectStore
from graddiag.store.remote.places import mirror_of, url_of_mirror
from graddiag.store.remote.root_mirror import mirror_root
from graddiag.store.remote.spool import spooled_url, uploaded_as
from graddiag.store.remote.urls import remote_url


def local_run(place: Path | str) -> Path:
    """The folder of a run; the mirror of one at a URL, which is brought up to date.

    The folder in the spool of a run that has been uploaded since means the run at its URL.

    Raises:
        RunFormatError: there is no run at the URL.
        InputError: the store cannot be reached, or refuses.
    """
    url = remote_url(place)
    if url is None:
        url = uploaded_as(Path(place))
    return Path(place) if url is None else mirror_run(url)


def renewed(folder: Path) -> Path:
    """The folder of a run as it is now: where it is a mirror, that is brought up to date.

    Raises:
        RunFormatError: the run that it mirrors is gone.
        InputError: the store cannot be reached, or refuses.
    """
    url = url_of_mirror(folder)
    return local_run(folder) if url is None else mirror_run(url)


def local_root(root: Path | str) -> Path:
    """The folder of the runs under ``root``; of a URL its mirror, which is brought up to date.

    Raises:
        InputError: the store cannot be reached, or refuses.
    """
    url = remote_url(root)
    return Path(root) if url is None else mirror_root(url)


def shown(place: Path | str) -> str:
    """``place`` as a message names it: the URL of what is remote, also where it is a folder of the mirror or the
    spool."""
    path = Path(place)
    url = remote_url(place) or url_of_mirror(path) or spooled_url(path)
    return str(place) if url is None else str(url)


def is_taken(root: Path | str, name: str) -> bool:
    """Whether something lies under ``root`` by this name.

    Raises:
        InputError: the store cannot be reached, or refuses.
    """
    url = remote_url(root)
    if url is None:
        return (Path(root) / name).exists()
    with reading(url):
        found = ObjectStore(url).listed(name)
    return bool(found.folders or found.versions)


def resolved_root(root: Path | str) -> Path:
    """``root`` as other processes find it, whatever folder they work in; a URL stays one."""
    return Path(root) if remote_url(root) is not None else Path(root).resolve()


def mirror_folder(root: Path | str) -> Path:
    """The folder that mirrors the root at a URL, as it is, without asking the store; a folder is its own."""
    url = remote_url(root)
    return Path(root) if url is None else mirror_of(url)
