"""The state of an action, written and read back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.acting import Kind, State
from exporter.core.model import Wall
from exporter.store.action_codec import decode, encode, read
from exporter.store.base import Unreadable
from exporter.store.fields import Corrupt

DOCUMENT = Path(__file__).parents[3] / "docs" / "store.md"
STATE = State(Kind.PROMOTE, Wall(1_700_000_000.5))


@given(st.builds(State, st.sampled_from(Kind), st.floats(0, 253_402_300_799).map(Wall)))
def test_what_is_written_is_read_back(state: State) -> None:
    """Exactly, for every state."""
    assert decode(encode("nginx", state, "node1:1", 3).encode()) == state


def test_the_text_is_this() -> None:
    """To the letter: other programs read it."""
    assert encode("ünï", STATE, "node1:4711", 3) == (
        '{"v":1,"action":"ünï","state":"promoted","since":"2023-11-14T22:13:20.500Z",'
        '"since_timestamp":1700000000.5,"owner":"node1:4711","epoch":3}'
    )


def test_the_documented_state_can_be_read() -> None:
    """docs/store.md shows what this program writes."""
    _, shown = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    text = shown.replace("\n", "").encode()
    written = json.loads(encode("nginx", decode(text), "node1:4711", 3))
    assert list(written.items()) == list(json.loads(text).items())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "format version 2, expected 1"),
        ({"state": "up"}, "state is 'up', expected one of promoted, demoted"),
        ({"state": None}, "state is None, expected text"),
        ({"since_timestamp": -1}, "since_timestamp is -1.0, expected Unix seconds before the year 10000"),
        ({"since_timestamp": "now"}, "since_timestamp is 'now', expected a finite number"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], why: str) -> None:
    """Each field by its name."""
    text = json.dumps({**json.loads(encode("nginx", STATE, "", 0)), **changes})
    with pytest.raises(Corrupt) as caught:
        decode(text.encode())
    assert str(caught.value) == why


@pytest.mark.parametrize("text", [b"", b"\xff", b"[" * 100_000, b"[]", b"null"])
def test_what_is_no_state_at_all_is_put_in_words(text: bytes) -> None:
    """Whatever it is, there is a text for people and no other error."""
    found = read(b"nginx", text)
    assert isinstance(found, Unreadable)
    assert found.why.startswith("not ")
