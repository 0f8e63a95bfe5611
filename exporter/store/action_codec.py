"""The state of an action as JSON: the format that stores keep and people read. See docs/store.md."""

from __future__ import annotations

import json

from exporter.clock import rfc3339
from exporter.core.acting import Kind, State
from exporter.store import fields
from exporter.store.base import Unreadable
from exporter.store.fields import Corrupt

VERSION = 1
"""Of the format; a state with another one is not guessed at."""

_KINDS: dict[object, Kind] = {f"{kind}d": kind for kind in Kind}


def encode(action: str, state: State, owner: str, epoch: int) -> str:
    """One JSON object."""
    said = {
        "v": VERSION,
        "action": action,
        "state": state.name,
        "since": rfc3339(state.since),
        "since_timestamp": state.since,
        "owner": owner,
        "epoch": epoch,
    }
    return json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read(action: bytes, text: bytes) -> tuple[str, State] | Unreadable:
    """What a store holds under the name of an action, or what is wrong with it."""
    try:
        return action.decode(), decode(text)
    except (Corrupt, UnicodeDecodeError) as error:
        return Unreadable(action.decode(errors="backslashreplace"), str(error))


def decode(text: bytes) -> State:
    """Read back what `encode` wrote, whoever may have edited it since.

    Raises:
        Corrupt: it is not the state of an action in this format.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"not JSON: {error}") from error
    if type(data) is not dict:
        raise Corrupt("not a JSON object")
    if data.get("v") != VERSION:
        raise Corrupt(f"format version {data.get('v')!r}, expected {VERSION}")
    return State(fields.one_of(_KINDS, data, "state"), fields.time(data, "since_timestamp"))
