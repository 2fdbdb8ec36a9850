"""The thread that uploads a run while it is recorded. It never raises, and the training never waits for it."""

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from graddiag.store.remote.objects import RemoteError
from graddiag.store.remote.spool import Spooled
from graddiag.store.remote.upload import RunUpload

INTERVAL: Final = 5.0  # seconds between the beginnings of two passes over the run's folder
LONGEST: Final = 60.0  # seconds between two attempts while the network fails
AT_END: Final = 60.0  # seconds that closing a run waits for the rest of it
_FIRST: Final = 1.0  # seconds after the first failure; twice as many after each further one


@dataclass(frozen=True)
class UploadNotice:
    """The upload failed for a ``reason``, or works again (reason None) after ``seconds``."""

    reason: str | None
    seconds: float = 0.0


class Uploader:
    """Uploads a run of the spool: all that is closed, every five seconds, and the rest when the run ends.

    While the network fails, nothing is held in memory: the folder has what is to be sent.
    """

    def __init__(self, upload: RunUpload, spooled: Spooled, *, interval: float = INTERVAL) -> None:
        self.upload = upload
        self.spooled = spooled
        self._interval = interval
        self._notices: deque[UploadNotice] = deque(maxlen=100)
        self._wake = threading.Event()
        self._ending = False
        self._failures = 0
        self._since: float | None = None  # of the first failure
        self.complete = False
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="graddiag-upload", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the run, of its root as long as it has no name there."""
        return str(self.upload.record.url)

    def take_notices(self) -> list[UploadNotice]:
        """What has happened since the last call."""
        return [self._notices.popleft() for _ in range(len(self._notices))]

    def finish(self, seconds: float = AT_END) -> bool:
        """Sends the rest of a run that is closed and waits for it, ``seconds`` at most; whether all of it is uploaded.

        A network that fails is tried once more. What is not there when this returns is sent on as long as the process
        lives, and stays in the spool after that.
        """
        self._ending = True
        self._wake.set()
        self._thread.join(seconds)
        return self.complete

    def discard(self) -> None:
        """Ends the upload, and removes what there is of the run, at its root and in the spool."""
        self._ending = self.complete = True
        self._wake.set()
        self._thread.join(AT_END)
        with suppress(RemoteError):  # it stays there, empty
            self.upload.discard()
        self.spooled.remove()

    def _run(self) -> None:
        started = 0.0
        while not self.complete:
            self._wake.wait(self._pause(time.monotonic() - started))
            self._wake.clear()
            ending, started = self._ending, time.monotonic()
            if self.complete or not self._pass():
                if ending:
                    return
            elif ending and not self.complete:
                time.sleep(0.2)  # another rank has not closed its part yet

    def _pause(self, passed: float) -> float:
        if self._failures:
            return min(LONGEST, _FIRST * 2 ** (self._failures - 1))
        return 0.0 if self._ending else max(0.0, self._interval - passed)

    def _pass(self) -> bool:
        """One pass over the folder; whether it worked."""
        try:
            complete = self.upload.send()
        except Exception as error:  # of the network, of the disk, or of a library: the training continues
            self._failed(str(error))
            return False
        self._worked()
        if complete and self._ending:
            self.spooled.end()
            self.complete = True
        return True

    def _failed(self, reason: str) -> None:
        self.error = reason
        self._failures += 1
        if self._since is None:
            self._since = time.monotonic()
            self._notices.append(UploadNotice(reason))

    def _worked(self) -> None:
        if self._since is not None:
            self._notices.append(UploadNotice(None, time.monotonic() - self._since))
        self._failures, self._since, self.error = 0, None, None
