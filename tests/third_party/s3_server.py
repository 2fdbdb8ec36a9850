"""A real S3 server on this machine alone (moto's), its log of requests, and a network to it that can fail."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.waiting import SECONDS

_RUNNING: Final = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")
_REQUEST: Final = re.compile(r'"(GET|PUT|POST|DELETE|HEAD) (\S+) HTTP')
BUCKET: Final = "gradients"


class S3Server:
    """The server and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "server.log"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.url = self._address()

    def _address(self) -> str:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            found = _RUNNING.search(self._log.read_text())
            if found:
                return found[1]
            time.sleep(0.05)
        raise RuntimeError(f"the S3 server did not start: {self._log.read_text()}")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of each request so far."""
        return [(found[1], found[2]) for found in _REQUEST.finditer(self._log.read_text())]

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Network:
    """A proxy to the server: ``refuse`` cuts every connection, ``stall`` passes nothing on, ``restore`` ends both."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._mode = "open"
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refused = 0
        self._threads[0].start()

    def refuse(self) -> None:
        self._mode = "refuse"
        self._cut()

    def stall(self) -> None:
        self._mode = "stall"

    def restore(self) -> None:
        self._mode = "open"
        self._cut()

    def close(self) -> None:
        self._mode = "closed"
        _shut(self._listener)
        self._cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _cut(self) -> None:
        with self._lock:
            for each in self._sockets:
                _shut(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._mode in ("refuse", "closed"):
                    self.refused += 1
                    client.close()
                    continue
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            with self._lock:
                self._sockets |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            back.start()
            self._pump(client, server)
            back.join()
            with self._lock:
                self._sockets -= {client, server}

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                while self._mode == "stall":
                    time.sleep(0.02)
                target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def counted(server: S3Server) -> Iterator[list[tuple[str, str]]]:
    """The requests that are made meanwhile, in the list once it ends."""
    before, made = len(server.requests()), list[tuple[str, str]]()
    yield made
    made += server.requests()[before:]
