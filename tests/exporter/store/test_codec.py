"""The JSON of a record: what it looks like, that nothing is lost, what is refused."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from exporter.core.model import HISTORY, Reason, Record, Status, Wall
from exporter.store.base import Quarantined
from exporter.store.codec import Encoder, decode, flat, read
from exporter.store.fields import Corrupt
from tests.exporter.store.records import change, record, records

DOCUMENT = Path(__file__).parents[3] / "docs/store.md"

GOLDEN = (
    '{"v":1,"worker_id":"w1","name":"W1","group":"default","host":"host","port":8001,"version":"1.2",'
    '"boot_id":"boot-1","started_at":1699999999.0,"heartbeat_interval":5.0,"heartbeat_timeout":15.0,'
    '"metrics_path":"/metrics","metrics_scheme":"https","labels":{"zone":"ü"},'
    '"status":"alive","reason":"heartbeat",'
    '"since":"2023-11-14T22:13:21.500Z","since_timestamp":1700000001.5,'
    '"last_heartbeat":"2023-11-14T22:13:30.250Z","last_heartbeat_timestamp":1700000010.25,'
    '"last_seen_timestamp":1700000010.25,"heartbeats":3,"missed_heartbeats":1,"restarts":2,'
    '"up_nanoseconds":8750000000,"down_nanoseconds":{"timeout":5000000000},"history":['
    '{"from":"none","to":"registered","reason":"registered","timestamp":1700000000.0},'
    '{"from":"registered","to":"connected","reason":"connected","timestamp":1700000001.0},'
    '{"from":"connected","to":"alive","reason":"heartbeat","timestamp":1700000001.5}],'
    '"owner":"db1:7","epoch":4}'
)


def golden_record() -> Record:
    return record(
        version="1.2",
        started_at=1_699_999_999.0,
        metrics_path="/metrics",
        metrics_scheme="https",
        labels=(("zone", "ü"),),
    )


def edited(**changes: Any) -> bytes:
    """The golden record after somebody edited it; None for a field takes it out."""
    data = {**json.loads(GOLDEN), **changes}
    return json.dumps({key: value for key, value in data.items() if value is not ...}).encode()


def test_a_record_is_one_readable_json_object() -> None:
    """Every field has the name and the unit that docs/store.md promises."""
    encoder = Encoder("db1:7")
    encoder.stamp(4)
    assert encoder.encode(golden_record()) == GOLDEN


@given(records())
def test_nothing_is_lost(original: Record) -> None:
    """Decoding what was encoded gives the same record, for every record that there can be."""
    text = Encoder("db1:7").encode(original)
    assert decode(original.facts.worker_id, text.encode()) == original


@given(records(), records())
def test_what_is_kept_for_speed_never_shows(first: Record, second: Record) -> None:
    """A worker's second record reads as if the encoder had never seen the first, whatever changed."""
    second = second._replace(facts=first.facts if first.facts.port % 2 else second.facts)
    encoder = Encoder("db1:7")
    encoder.encode(first)
    encoder.encode(first._replace(history=second.history))
    assert encoder.encode(second) == Encoder("db1:7").encode(second)


def test_what_did_not_change_is_not_encoded_again() -> None:
    """Between two heartbeats only the part that a heartbeat changes is made anew."""
    encoder = Encoder("db1:7")
    before = record()
    encoder.encode(before)
    kept = dict(encoder._fragments)
    encoder.encode(before._replace(last_heartbeat=Wall(1_700_000_015.0), last_seen=Wall(1_700_000_015.0)))
    assert encoder._fragments["w1"] is kept["w1"]


def test_a_forgotten_worker_leaves_nothing_behind() -> None:
    """Workers that come and go do not make the encoder grow."""
    encoder = Encoder("db1:7")
    encoder.encode(record("w1"))
    encoder.encode(record("w2"))
    encoder.forget(["w1", "never seen"])
    assert list(encoder._fragments) == ["w2"]


def test_a_renamed_worker_keeps_its_names_in_the_history() -> None:
    """A transition says what the worker and its group were called then."""
    old, new = record(), record(name="New", group="other")
    renamed = new._replace(history=old.history)
    assert decode("w1", Encoder("o").encode(renamed).encode()) == renamed


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["last_seen", "last_heartbeat", "since"])
def test_a_time_that_is_not_finite_is_never_written(field: str, number: float) -> None:
    """NaN and infinity are no JSON, and no time."""
    with pytest.raises((ValueError, OverflowError)):
        Encoder("o").encode(record()._replace(**{field: number}))


def test_a_fact_that_is_not_finite_is_never_written() -> None:
    """The same holds for what a worker said."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        Encoder("o").encode(record(started_at=math.nan))


CHANGE = {"from": "none", "to": "alive", "reason": "heartbeat", "timestamp": 1.0}
STATUSES = "registered, connected, alive, disconnected, not_responding"
REASONS = ", ".join(Reason)
BAD: dict[str, tuple[bytes, str]] = {
    "impossible": (edited(status="disconnected"), "no worker is disconnected for the reason heartbeat"),
    "empty": (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    "truncated": (GOLDEN.encode()[:30], "not JSON: Expecting ':' delimiter: line 1 column 31 (char 30)"),
    "bytes": (
        b"\xff\xfe",
        "not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "deep": (b"[" * 100_000, "not JSON that anybody meant: nested too deeply"),
    "nan": (b'{"v":NaN}', "not JSON: NaN is not a number"),
    "list": (b"[]", "not a JSON object"),
    "newer": (edited(v=2), "format version 2, expected 1"),
    "no version": (edited(v=...), "format version None, expected 1"),
    "another's": (edited(worker_id="w2"), "worker_id is 'w2', expected 'w1'"),
    "no name": (edited(name=...), "name is missing, expected text"),
    "name": (edited(name=7), "name is 7, expected text"),
    "half a character": (edited(name="\ud800"), "name is not Unicode text: '\\ud800'"),
    "port": (edited(port=True), "port is True, expected a whole number"),
    "negative": (edited(heartbeats=-1), "heartbeats is -1, expected 0 to 2^63 - 1"),
    "huge": (edited(heartbeats=2**63), "heartbeats is 9223372036854775808, expected 0 to 2^63 - 1"),
    "infinite": (
        GOLDEN.replace("15.0", "1e999").encode(),
        "heartbeat_timeout is inf, expected a finite number",
    ),
    "digits": (edited(since_timestamp=10**30), f"since_timestamp is {10**30}, expected a finite number"),
    "time as text": (edited(since_timestamp="1"), "since_timestamp is '1', expected a finite number"),
    "no interval": (
        edited(heartbeat_interval=0),
        "heartbeat_interval is 0.0, expected more than 0 and at most 86400 seconds",
    ),
    "long": (
        edited(heartbeat_timeout=86_401),
        "heartbeat_timeout is 86401.0, expected more than 0 and at most 86400 seconds",
    ),
    "future": (
        edited(last_heartbeat_timestamp=253_402_300_800),
        "last_heartbeat_timestamp is 253402300800.0, expected Unix seconds before the year 10000",
    ),
    "status": (edited(status="zombie"), f"status is 'zombie', expected one of {STATUSES}"),
    "reason": (edited(reason="bored"), f"reason is 'bored', expected one of {REASONS}"),
    "labels": (edited(labels=[]), "labels is [], expected an object"),
    "label": (edited(labels={"a": 1}), "a is 1, expected text"),
    "down": (
        edited(down_nanoseconds={"bored": 1}),
        "down_nanoseconds names 'bored', expected one of never_connected, timeout, connection_lost, shutdown",
    ),
    "history": (edited(history={}), "history is {}, expected a list"),
    "change": (edited(history=[1]), "history holds something that is not an object"),
    "from": (
        edited(history=[{**CHANGE, "from": "forgotten"}]),
        f"from is 'forgotten', expected one of none, {STATUSES}",
    ),
    "long value": (edited(port="x" * 200), f"port is '{'x' * 79}, expected a whole number"),
}


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_what_is_no_record_is_refused_with_the_reason(text: bytes, why: str) -> None:
    """Each kind of damage is named, with the field, what it is and what was expected."""
    with pytest.raises(Corrupt) as caught:
        decode("w1", text)
    assert str(caught.value) == why


def test_fields_that_nobody_knows_are_passed_over() -> None:
    """A newer exporter may say more in the same format."""
    assert decode("w1", edited(favourite_colour="blue")) == golden_record()


def test_no_more_history_is_read_than_is_kept() -> None:
    """A record that was made longer by hand does not stay so."""
    transition = change(record().facts, Status.CONNECTED, Status.ALIVE, Reason.HEARTBEAT, 2.0)
    line = {"from": "connected", "to": "alive", "reason": "heartbeat", "timestamp": 2.0}
    history = decode("w1", edited(history=[CHANGE] * 10 + [line] * HISTORY)).history
    assert history == (transition,) * HISTORY


def test_the_documented_record_can_be_read() -> None:
    """docs/store.md shows what this program writes: the same fields in the same order."""
    shown, _ = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    decoded = decode("worker-1-5f2c01aa", shown.encode())
    again = json.loads(Encoder("node1:4711").encode(decoded))
    assert list({**again, "epoch": 3}.items()) == list(json.loads(shown).items())


def test_what_cannot_be_read_is_named_whatever_its_id_is() -> None:
    """An id that is no text gets a spelling, so that it can be told what was put aside."""
    assert read(b"w1", GOLDEN.encode()) == golden_record()
    assert read(b"w1", b"[]") == Quarantined("w1", "not a JSON object")
    found = read(b"w\xff", GOLDEN.encode())
    assert isinstance(found, Quarantined)
    assert found.worker_id == r"w\xff"


def test_a_transition_is_kept_as_eight_texts() -> None:
    """Who, what, why, and when: for people to the millisecond, for programs exactly."""
    transition = change(
        golden_record().facts, None, Status.REGISTERED, Reason.REGISTERED, 1_700_000_000.1234567
    )
    assert flat(transition) == (
        *("w1", "W1", "default", "none", "registered", "registered"),
        *("2023-11-14T22:13:20.123Z", "1700000000.1234567"),
    )
