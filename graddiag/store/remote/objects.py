"""ObjectStore: the few operations on an object store that graddiag needs, and one kind of error for all that can fail.

Credentials, regions and endpoints are what the library of the scheme finds in its environment and configuration.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graddiag.errors import MissingLibraryError
from graddiag.store.remote.places import endpoints
from graddiag.store.remote.urls import RemoteUrl

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

AT_A_TIME: Final = 16  # requests under way
BATCH_BYTES: Final = 8 << 20  # of files that are sent at a time
CONNECT_SECONDS, READ_SECONDS = 5, 20  # until a server that does not answer counts as unreachable
SLOWEST: Final = 100_000  # bytes a second, below which sending counts as failed
_EXTRAS: Final = {"s3": "'graddiag[s3]'", "s3a": "'graddiag[s3]'", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
_NETWORK: Final = ("aiohttp", "aiobotocore", "botocore")
_REFUSED: Final = ("NoCredentialsError", "PartialCredentialsError", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_MISSING: Final = ("NoSuchBucket", "bucket does not exist", "bucket is not valid")
_VERSIONS: Final = ("ETag", "etag", "md5Hash", "generation")
_TIMES: Final = ("LastModified", "mtime", "modified", "updated", "last_modified", "created")


class RemoteError(OSError):
    """An object store that cannot be reached, or refuses. refused: trying again later will not help."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True)
class Listing:
    """What lies directly under a prefix: objects with their versions, and the names of prefixes."""

    versions: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


class ObjectStore:
    """The objects under ``url``; names are relative to it.

    Raises:
        MissingLibraryError: fsspec, or the library for the scheme, is not installed.
    """

    def __init__(self, url: RemoteUrl) -> None:
        self.url = url
        self._files = _filesystem(url.scheme, endpoints())

    def listed(self, prefix: str = "") -> Listing:
        """What lies directly under ``prefix``: a request for each 1,000 entries. Nothing where there is nothing."""
        with self._errors():
            try:
                found = self._files.ls(self._full(prefix), detail=True, refresh=True)
            except FileNotFoundError as error:
                _check_bucket(error)
                return Listing()
            return self._sorted(prefix, found)

    def found(self, prefix: str) -> dict[str, str]:
        """All objects under ``prefix``, by name relative to it, with their versions: a request for each 1,000."""
        with self._errors():
            try:
                found = self._files.find(self._full(prefix), detail=True)
            except FileNotFoundError as error:
                _check_bucket(error)
                return {}
            return {self._relative(prefix, name): _version(about) for name, about in found.items()}

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of objects, read at the same time; those that are not there are left out."""
        if not names:
            return {}
        with self._errors():
            if not self._files.async_impl:
                return dict(self._read_one_by_one(names))
            paths = {self._full(name): name for name in names}
            found = self._files.cat(list(paths), on_error="return", batch_size=AT_A_TIME)
            for content in found.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
            return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def _read_one_by_one(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            with suppress(FileNotFoundError):
                yield name, self._files.cat_file(self._full(name))

    def write(self, name: str, content: bytes) -> None:
        with self._errors(writes=True):
            self._make_folders([name])
            self._files.pipe_file(self._full(name), content, **self._limit(len(content)))

    def create(self, name: str, content: bytes) -> bool:
        """Writes an object that must not be there yet; False where it is."""
        with self._errors(writes=True):
            self._make_folders([name])
            try:
                self._files.pipe_file(self._full(name), content, mode="create", **self._limit(len(content)))
            except FileExistsError:
                return False
        return True

    def upload(self, files: Mapping[str, Path]) -> Iterator[str]:
        """Sends local files, several at a time but no more than ``BATCH_BYTES`` together; gives the names of those that
        are there."""
        for batch in _batches(files):
            with self._errors(writes=True):
                self._make_folders(batch)
                limit = self._limit(sum(files[name].stat().st_size for name in batch))
                options = {"batch_size": len(batch), **limit} if self._files.async_impl else {}
                self._files.put([str(files[name]) for name in batch], [self._full(name) for name in batch], **options)
            yield from batch

    def download(self, files: Mapping[str, Path]) -> None:
        """Fetches objects into local files, whose folders are there.

        Raises:
            FileNotFoundError: an object is gone.
        """
        with self._errors():
            options = {"batch_size": AT_A_TIME} if self._files.async_impl else {}
            self._files.get([self._full(name) for name in files], [str(path) for path in files.values()], **options)

    def remove(self, names: Sequence[str]) -> None:
        """Removes objects, those that are there: a request for each 1,000."""
        with self._errors():
            if self._files.async_impl and names:
                self._files.rm([self._full(name) for name in names])
            for name in () if self._files.async_impl else names:
                with suppress(FileNotFoundError):
                    self._files.rm_file(self._full(name))

    def _limit(self, nbytes: int) -> dict[str, float]:
        """The time that sending may take: a server that takes nothing is not noticed by its library."""
        return {"timeout": READ_SECONDS + nbytes / SLOWEST} if self._files.async_impl else {}

    def _make_folders(self, names: Sequence[str]) -> None:
        """The folders of objects, where the store has folders; those that are asked in parallel have none."""
        for folder in () if self._files.async_impl else {self._full(name).rpartition("/")[0] for name in names}:
            self._files.makedirs(folder, exist_ok=True)

    def _full(self, name: str) -> str:
        return f"{self.url.path}/{name}" if name else self.url.path

    def _relative(self, prefix: str, path: str) -> str:
        return path.lstrip("/").removeprefix(self._full(prefix).lstrip("/")).lstrip("/")

    def _sorted(self, prefix: str, found: Sequence[Mapping[str, Any]]) -> Listing:
        named = [(self._relative(prefix, each["name"].rstrip("/")), each) for each in found]
        folders = tuple(sorted(name for name, each in named if name and each["type"] == "directory"))
        return Listing({name: _version(each) for name, each in named if name and each["type"] == "file"}, folders)

    @contextmanager
    def _errors(self, *, writes: bool = False) -> Iterator[None]:
        """writes: what is not there is the bucket, and not an object."""
        try:
            yield
        except (RemoteError, MissingLibraryError):
            raise
        except FileNotFoundError as error:
            if writes:
                raise RemoteError(f"{self.url}: {_words(error)}", refused=True) from error
            raise
        except Exception as error:  # each library has errors of its own, many of which are no OSError
            raise RemoteError(f"{self.url}: {_words(error)}", refused=_is_refusal(error)) from error


@lru_cache(maxsize=8)
def _filesystem(scheme: str, servers: tuple[str, ...]) -> Any:
    """The file system of fsspec; ``servers`` is a part of the key alone."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingLibraryError(f"a root of {scheme}:// needs fsspec: `pip install {_needed(scheme)}`.") from error
    try:
        return _tuned(fsspec.filesystem(scheme, skip_instance_cache=True, **_options(scheme, fsspec.config.conf)))
    except ImportError as error:
        raise MissingLibraryError(
            f"a root of {scheme}:// needs a library that could not be imported ({error}). "
            f"Install it with `pip install {_needed(scheme)}`."
        ) from error
    except ValueError as error:  # of a scheme that fsspec does not know
        raise MissingLibraryError(f"a root of {scheme}://: fsspec knows no such scheme ({error}).") from error


def _needed(scheme: str) -> str:
    return _EXTRAS.get(scheme, "fsspec")


def _options(scheme: str, configured: Mapping[str, Any]) -> dict[str, Any]:
    """For S3: a server that does not answer is given up soon, unless the configuration of fsspec says otherwise."""
    if scheme not in ("s3", "s3a"):
        return {}
    own = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"max_attempts": 1}}
    own |= configured.get("s3", {}).get("config_kwargs", {})
    return {"use_listings_cache": False, "max_concurrency": 1, "config_kwargs": own}  # 1: no HEAD before each GET


def _tuned(files: Any) -> Any:
    if "s3" in files.protocol:
        files.retries = 3
    loop = getattr(files, "loop", None)
    if loop is not None and loop.get_exception_handler() is None:
        loop.set_exception_handler(_log_unless_cut)
    return files


def _log_unless_cut(loop: "AbstractEventLoop", context: dict[str, Any]) -> None:
    """In the thread of fsspec: a connection that was cut is an error of the request, which is handled, and not logged
    once more for each task that had to do with it."""
    error = context.get("exception")
    if not isinstance(error, OSError) and not type(error).__module__.startswith(_NETWORK):
        loop.default_exception_handler(context)


def _batches(files: Mapping[str, Path]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for name, path in files.items():
        nbytes = path.stat().st_size
        if batch and (size + nbytes > BATCH_BYTES or len(batch) == AT_A_TIME):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += nbytes
    if batch:
        yield batch


def _version(about: Mapping[str, Any]) -> str:
    """What changes whenever the object does: its ETag, or else its size and time."""
    tag = next((str(about[name]) for name in _VERSIONS if about.get(name)), None)
    times = [str(about[name]) for name in _TIMES if about.get(name)]
    return tag or f"{about.get('size')} {' '.join(times)}"


def _check_bucket(error: FileNotFoundError) -> None:
    """A bucket that is not there is an error; a prefix without objects is none."""
    if any(word in str(error) for word in _MISSING):
        raise RemoteError(_words(error), refused=True) from error


def _is_refusal(error: Exception) -> bool:
    words = (type(error).__name__, str(error))
    return isinstance(error, PermissionError) or any(
        known in said for known in (*_REFUSED, *_MISSING) for said in words
    )


def _words(error: BaseException) -> str:
    """The first line of an error, with its kind."""
    said = str(error).splitlines()[0].rstrip(".") if str(error) else "no answer"
    return f"{type(error).__name__}: {said}"
