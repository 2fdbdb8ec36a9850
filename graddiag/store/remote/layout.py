"""The objects under a remote root. A run has the files of a run folder; beside them lies what makes a listing quick.

``.graddiag/heads/RUN.json``        manifest and index of a run in one object, written after each change of either
``.graddiag/annotations/RUN.json``  its tags and notes once more
``.graddiag/heads.parquet``         all of these in one object, written by listings; derived
"""

import json
from collections.abc import Mapping
from typing import Final

OWN: Final = ".graddiag"
HEADS: Final = f"{OWN}/heads"
ANNOTATED: Final = f"{OWN}/annotations"
HEADS_INDEX: Final = f"{OWN}/heads.parquet"


def head_of(run: str) -> str:
    return f"{HEADS}/{run}.json"


def annotations_of_run(run: str) -> str:
    return f"{ANNOTATED}/{run}.json"


def pack(files: Mapping[str, bytes]) -> bytes:
    """Small text files of a run as one object."""
    return json.dumps({name: content.decode() for name, content in files.items()}, ensure_ascii=False).encode()


def unpack(content: bytes) -> dict[str, bytes]:
    """The files that ``pack`` put together; none where the object is damaged."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    texts = found if isinstance(found, dict) else {}
    return {str(name): text.encode() for name, text in texts.items() if isinstance(text, str)}
