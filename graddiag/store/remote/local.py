"""The folder on this machine that a root or a run is read from: itself, or the mirror of what is remote."""

from pathlib import Path

from graddiag.store.remote.mirror import mirror_run
from graddiag.store.remote.root_mirror import mirror_root
from graddiag.store.remote.spool import uploaded_as
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


def local_root(root: Path | str) -> Path:
    """The folder of the runs under ``root``; of a URL its mirror, which is brought up to date.

    Raises:
        InputError: the store cannot be reached, or refuses.
    """
    url = remote_url(root)
    return Path(root) if url is None else mirror_root(url)
