"""Which roots are URLs of an object store, and their parts. Nothing here imports fsspec."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graddiag.errors import SettingError

# a Path that was made of a URL has one slash where the URL has two; one letter is a drive of Windows
_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+-]+):/{1,2}(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True)
class RemoteUrl:
    """``scheme://path``: a root, or a run, in an object store. The path has no slash at its end."""

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> "RemoteUrl":
        return RemoteUrl(self.scheme, f"{self.path}/{name}" if name else self.path)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.path.split("/"))

    @property
    def parent(self) -> "RemoteUrl | None":
        """The URL one level up; None of a bucket."""
        above = self.path.rpartition("/")[0]
        return RemoteUrl(self.scheme, above) if above.strip("/") else None


def remote_url(place: Path | str) -> RemoteUrl | None:
    """The URL that ``place`` is; None where it is a path. A Path made of a URL, as a command line makes it, counts.

    Raises:
        SettingError: a URL without a bucket, with credentials or a query in it, or with ``..``.
    """
    found = _URL.fullmatch(str(place))
    if found is None:
        return None
    scheme, path = found["scheme"], found["path"].rstrip("/")
    absolute = "/" if path.startswith("/") else ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise SettingError(f"{scheme}://: it names no bucket; write {scheme}://BUCKET/PREFIX.")
    if "@" in parts[0]:
        raise SettingError(
            f"a URL of {scheme}:// with credentials in it: give them by the environment or the configuration that the "
            f"library for {scheme} reads (e.g. AWS_PROFILE), and the URL without them."
        )
    if ".." in parts or any(letter in path for letter in "?#\\\0*["):
        raise SettingError(f"{place}: a root is {scheme}://BUCKET/PREFIX, without `..`, `?`, `#`, `*`, `[` and `\\`.")
    return RemoteUrl(scheme, absolute + "/".join(parts))
