"""Reads the file of an offline W&B run: a log in LevelDB's format after a header of 7 bytes, of protobuf records."""

import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK, HEADER = 32768, struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, joined = 7, b""
    while at + HEADER.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:  # too little room for a record: the rest of the block is padding
            at += left
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        if at + HEADER.size + length > len(data):  # the end of it is not there yet
            return
        joined += data[at + HEADER.size : at + HEADER.size + length]
        at += HEADER.size + length
        if kind in (FULL, LAST):
            yield joined
            joined = b""
