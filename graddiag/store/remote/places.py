"""Where on this machine remote runs are: the spool of those that are being uploaded, the mirror of those that are read.

The spool holds what may not be stored anywhere else yet; the mirror is derived and may be deleted at any time.
"""

import os
import re
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from graddiag.store.remote.urls import RemoteUrl

SPOOL_VARIABLE: Final = "GRADDIAG_SPOOL"
CACHE_VARIABLE: Final = "GRADDIAG_CACHE"
_HEADS, _PARTS = "heads", "parts"
_UNSAFE: Final = re.compile(r'^\.|[\x00-\x1f%<>:"|\\?*]')  # a hidden file is none of the store's
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL", "FSSPEC_S3")


def spool_home() -> Path:
    """``GRADDIAG_SPOOL``, else the folder of graddiag among those that hold the state of programs."""
    return _home(SPOOL_VARIABLE, "XDG_STATE_HOME", ".local/state", "spool")


def cache_home() -> Path:
    """``GRADDIAG_CACHE``, else the folder of graddiag among the caches of the user."""
    return _home(CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache", "")


def mirror_of(url: RemoteUrl) -> Path:
    """The folder that mirrors ``url``: the manifests and indexes of the runs under it."""
    return _place(_HEADS, url)


def run_inside(mirror: Path, run: str) -> Path:
    """The folder of a run in the mirror of its root."""
    return mirror.joinpath(*map(_plain, run.split("/")))


def name_inside(mirror: Path, folder: Path) -> str:
    """The name of the run that ``run_inside`` gives the folder of."""
    return "/".join(map(unquote, folder.relative_to(mirror).parts))


def parts_of(url: RemoteUrl, generation: str) -> Path:
    """The folder of the parts of a run that were fetched. generation: of the process that recorded them."""
    return cache_home() / _PARTS / blake2b(f"{_place(_PARTS, url)} {generation}".encode(), digest_size=16).hexdigest()


def url_of_mirror(path: Path) -> RemoteUrl | None:
    """The URL that ``path`` mirrors; None where it is no part of the mirror."""
    home = cache_home() / _HEADS
    if not path.is_relative_to(home):
        return None
    server, *parts = path.relative_to(home).parts
    if not parts:
        return None
    scheme, _, rooted = server.partition("@")[0].partition("=")
    return RemoteUrl(scheme, ("/" if rooted else "") + "/".join(map(unquote, parts)))


def _home(own: str, shared: str, default: str, inside: str) -> Path:
    if os.environ.get(own):
        return Path(os.environ[own]).absolute()
    return Path(os.environ.get(shared) or Path.home() / default).absolute() / "graddiag" / inside


def _place(kind: str, url: RemoteUrl) -> Path:
    rooted = url.path.startswith("/")
    parts = [_plain(part) for part in url.parts if part]
    return cache_home().joinpath(kind, f"{url.scheme}{'=root' if rooted else ''}{_server()}", *parts)


def _server() -> str:
    """What tells servers apart at which buckets may have one name."""
    given = endpoints()
    return f"@{blake2b(' '.join(given).encode(), digest_size=4).hexdigest()}" if given else ""


def endpoints() -> tuple[str, ...]:
    """The addresses of servers that the environment names."""
    return tuple(os.environ[name] for name in _ENDPOINTS if os.environ.get(name))


def _plain(part: str) -> str:
    """``part`` of a URL as the name of a file here, which ``unquote`` leads back from."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", part)
