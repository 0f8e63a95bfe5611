"""The wire: what is sent is read back, what is bad is told apart from what is new."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_agent.protocol import (
    MAX_CHECK_NAME,
    MAX_CHECKS,
    MAX_FRAME,
    Ack,
    CheckState,
    Flaw,
    Goodbye,
    Heartbeat,
    ProtocolError,
    decode_from_exporter,
    decode_from_worker,
    encode_ack,
    encode_goodbye,
    encode_heartbeat,
    valid_check_name,
)

unix_times = st.floats(0, 1e11, allow_nan=False)
short_times = st.floats(0, 3600, allow_nan=False)
check_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,47}", fullmatch=True)
checks = st.dictionaries(check_names, st.sampled_from(CheckState), max_size=MAX_CHECKS).map(
    lambda states: tuple(sorted(states.items()))
)
heartbeats = st.builds(
    Heartbeat,
    seq=st.none() | st.integers(0, 2**63 - 1),
    sent_at=st.none() | unix_times,
    ack=st.booleans(),
    rtt=st.none() | short_times,
    clock_offset=st.none() | st.floats(-1e11, 1e11, allow_nan=False),
    loop_lag=st.none() | short_times,
    checks=st.none() | checks,
    dropped=st.just(()),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(
    [
        *("type", "seq", "sent_at", "ack", "rtt", "clock_offset", "loop_lag", "checks"),
        *("leave", "received_at", "new"),
    ]
)
kinds = st.sampled_from(["heartbeat", "goodbye", "ack"])
messages = st.dictionaries(field_names, json_values, max_size=8) | st.builds(
    lambda kind, fields: {**fields, "type": kind},
    kinds,
    st.dictionaries(field_names, json_values, max_size=8),
)

FULL = Heartbeat(seq=7, sent_at=1795161053.5, ack=True, rtt=0.0012, clock_offset=-0.25, loop_lag=0.0003)
CHECKED = Heartbeat(checks=(("cache", CheckState.DEGRADED), ("db", CheckState.UNHEALTHY)))


@pytest.mark.parametrize(
    ("beat", "frame"),
    [
        (Heartbeat(), '{"type":"heartbeat"}'),
        (Heartbeat(seq=1, sent_at=1.5, ack=True), '{"type":"heartbeat","seq":1,"sent_at":1.5,"ack":true}'),
        (
            FULL,
            '{"type":"heartbeat","seq":7,"sent_at":1795161053.5,"ack":true,"rtt":0.0012,'
            '"clock_offset":-0.25,"loop_lag":0.0003}',
        ),
        (CHECKED, '{"type":"heartbeat","checks":{"cache":"degraded","db":"unhealthy"}}'),
        (Heartbeat(checks=()), '{"type":"heartbeat","checks":{}}'),
    ],
)
def test_heartbeat_frames(beat: Heartbeat, frame: str) -> None:
    """Heartbeats look exactly like this on the wire, and are read back from it."""
    assert encode_heartbeat(beat) == frame
    assert decode_from_worker(frame) == beat


@pytest.mark.parametrize(
    ("goodbye", "frame"),
    [
        (Goodbye(), '{"type":"goodbye","leave":false}'),
        (Goodbye(leave=True), '{"type":"goodbye","leave":true}'),
    ],
)
def test_goodbye_frames(goodbye: Goodbye, frame: str) -> None:
    """Goodbyes look exactly like this on the wire, and are read back from it."""
    assert encode_goodbye(goodbye) == frame
    assert decode_from_worker(frame) == goodbye


@pytest.mark.parametrize(
    ("ack", "frame"),
    [
        (
            Ack(3, 1795161053.25, 1795161053.5),
            '{"type":"ack","seq":3,"received_at":1795161053.250000,"sent_at":1795161053.500000}',
        ),
        (Ack(None, 0.0, 1.0), '{"type":"ack","seq":null,"received_at":0.000000,"sent_at":1.000000}'),
    ],
)
def test_ack_frames(ack: Ack, frame: str) -> None:
    """Acks look exactly like this on the wire, and are read back from it."""
    assert encode_ack(ack) == frame
    assert decode_from_exporter(frame) == ack


@given(heartbeats)
def test_heartbeat_round_trip(beat: Heartbeat) -> None:
    """Any heartbeat within bounds comes back as it was, from text or bytes, and fits a frame."""
    frame = encode_heartbeat(beat)
    assert decode_from_worker(frame) == beat
    assert decode_from_worker(frame.encode()) == beat
    assert len(frame.encode()) < MAX_FRAME


@given(st.none() | st.integers(), unix_times, short_times)
def test_ack_round_trip(seq: int | None, received_at: float, took: float) -> None:
    """Any ack comes back to the microsecond."""
    sent_at = min(received_at + took, 1e11)
    ack = decode_from_exporter(encode_ack(Ack(seq, received_at, sent_at)))
    assert ack is not None
    assert ack.seq == seq
    assert ack.received_at == pytest.approx(received_at, abs=1e-6)
    assert ack.sent_at == pytest.approx(sent_at, abs=1e-6)


def read(decode: Callable[[str], object], frame: str) -> object:
    """The type of what was decoded, or the flaw."""
    try:
        return type(decode(frame))
    except ProtocolError as error:
        return error.flaw


@given(messages)
def test_every_object_is_read_or_refused(message: dict[str, object]) -> None:
    """Whatever fields a JSON object has, it is a message, an unknown one, or a ProtocolError."""
    frame = json.dumps(message)
    kind = message.get("type")
    expected: object = Flaw.TYPE
    if isinstance(kind, str):
        expected = {"heartbeat": Heartbeat, "goodbye": Goodbye}.get(kind, type(None))
    assert read(decode_from_worker, frame) is expected
    if kind == "ack":
        assert read(decode_from_exporter, frame) in (Ack, Flaw.FIELD)
    else:
        assert read(decode_from_exporter, frame) is (type(None) if isinstance(kind, str) else Flaw.TYPE)


@given(st.text(max_size=64) | st.binary(max_size=64))
def test_noise(frame: str | bytes) -> None:
    """Noise raises nothing but ProtocolError, in either direction."""
    for decode in (decode_from_worker, decode_from_exporter):
        with pytest.raises(ProtocolError):
            decode(frame)


@pytest.mark.parametrize("decode", [decode_from_worker, decode_from_exporter])
@pytest.mark.parametrize(
    ("frame", "flaw", "expected"),
    [
        ("", Flaw.JSON, "a frame must be a JSON object"),
        ("{", Flaw.JSON, "a frame must be a JSON object"),
        (b"\xff\xfe", Flaw.JSON, "a frame must be a JSON object"),
        ("[]", Flaw.JSON, "a frame must be a JSON object"),
        ('"heartbeat"', Flaw.JSON, "a frame must be a JSON object"),
        ("null", Flaw.JSON, "a frame must be a JSON object"),
        ("[" * 100_000, Flaw.JSON, "a frame must be a JSON object"),
        ('{"type":' * 2000, Flaw.JSON, "a frame must be a JSON object"),
        ("1" * 5000, Flaw.JSON, "a frame must be a JSON object"),
        ("{}", Flaw.TYPE, 'a message must have a "type" that is a string'),
        ('{"type":null}', Flaw.TYPE, 'a message must have a "type" that is a string'),
        ('{"type":7}', Flaw.TYPE, 'a message must have a "type" that is a string'),
        ('{"type":["heartbeat"]}', Flaw.TYPE, 'a message must have a "type" that is a string'),
    ],
)
def test_bad_frames(
    decode: Callable[[str | bytes], object], frame: str | bytes, flaw: Flaw, expected: str
) -> None:
    """A frame that is no message says which way it is not, to both sides alike."""
    with pytest.raises(ProtocolError) as caught:
        decode(frame)
    assert (caught.value.flaw, str(caught.value)) == (flaw, expected)


@pytest.mark.parametrize("frame", ['{"type":"tomorrow"}', '{"type":"","seq":1}', '{"type":"Heartbeat"}'])
def test_unknown_types(frame: str) -> None:
    """A type of a newer version is ignored by both sides."""
    assert decode_from_worker(frame) is None
    assert decode_from_exporter(frame) is None


def test_unknown_fields() -> None:
    """A field of a newer version is ignored and does not count as dropped."""
    assert decode_from_worker('{"type":"heartbeat","mood":"fine","seq":1}') == Heartbeat(seq=1)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("seq", ["-1", "1.0", '"1"', "true", str(2**63), "[]", "NaN"]),
        ("ack", ["1", '"yes"', "null", "{}"]),
        ("sent_at", ["-1", "1e12", '"now"', "true", "NaN", "Infinity", "-Infinity", "[]"]),
        ("rtt", ["-0.001", "3601", '"1"', "false", "NaN", "Infinity"]),
        ("clock_offset", ["1e12", "-1e12", '"0"', "NaN", "-Infinity"]),
        ("loop_lag", ["-1", "1e9", "{}", "NaN", "Infinity"]),
    ],
)
def test_bad_optional_fields(field: str, values: list[str]) -> None:
    """A heartbeat with a bad field is a heartbeat without it, and says which was dropped."""
    for value in values:
        assert decode_from_worker(f'{{"type":"heartbeat","{field}":{value}}}') == Heartbeat(dropped=(field,))


def test_several_bad_fields() -> None:
    """Every bad field is named and the good ones are kept."""
    frame = '{"type":"heartbeat","seq":-1,"sent_at":5,"ack":0,"rtt":"x","clock_offset":0,"loop_lag":-1}'
    assert decode_from_worker(frame) == Heartbeat(
        sent_at=5.0, clock_offset=0.0, dropped=("seq", "ack", "rtt", "loop_lag")
    )


def test_as_many_checks_as_may_be_with_the_longest_names() -> None:
    """They fit a frame together with everything else that a heartbeat can say."""
    longest = tuple((f"{number:0{MAX_CHECK_NAME}}", CheckState.UNHEALTHY) for number in range(MAX_CHECKS))
    full = FULL._replace(seq=2**63 - 1, clock_offset=-1795161053.123456, checks=longest)
    frame = encode_heartbeat(full)
    assert len(frame) < MAX_FRAME
    assert decode_from_worker(frame) == full


def test_checks_are_sorted_and_their_states_are_members() -> None:
    """In whatever order they were told, equal checks compare equal."""
    beat = decode_from_worker('{"type":"heartbeat","checks":{"db":"unhealthy","cache":"degraded"}}')
    assert beat == CHECKED
    assert isinstance(beat, Heartbeat)
    assert beat.checks is not None
    assert [state for _, state in beat.checks] == [CheckState.DEGRADED, CheckState.UNHEALTHY]
    assert all(type(state) is CheckState for _, state in beat.checks)


@pytest.mark.parametrize("checks", ["[]", '"healthy"', "true", "0", '[["db","healthy"]]'])
def test_checks_that_are_no_object(checks: str) -> None:
    """Nothing is said of the checks, and that is one unusable field."""
    assert decode_from_worker(f'{{"type":"heartbeat","checks":{checks}}}') == Heartbeat(dropped=("checks",))


@pytest.mark.parametrize("entry", ['"":"healthy"', '"é":"healthy"', '"db":"Healthy"', '"db":["healthy"]'])
def test_a_bad_check_costs_itself(entry: str) -> None:
    """The others of the same heartbeat are kept."""
    frame = f'{{"type":"heartbeat","checks":{{{entry},"cache":"healthy"}}}}'
    assert decode_from_worker(frame) == Heartbeat(
        checks=(("cache", CheckState.HEALTHY),), dropped=("checks",)
    )


def test_more_checks_than_may_be() -> None:
    """The first that are usable are kept, the others dropped one by one."""
    told: dict[str, object] = {f"check-{number:02}": "healthy" for number in range(MAX_CHECKS + 3)}
    beat = decode_from_worker(json.dumps({"type": "heartbeat", "checks": {"bad name": "healthy", **told}}))
    assert beat == Heartbeat(
        checks=tuple((f"check-{number:02}", CheckState.HEALTHY) for number in range(MAX_CHECKS)),
        dropped=("checks",) * 4,
    )


@pytest.mark.parametrize("state", ["healthy", "fine"])
def test_hundreds_of_checks(state: str) -> None:
    """However many there are in a frame, no more are reported as dropped than one above the limit."""
    told = {"type": "heartbeat", "checks": dict.fromkeys(map(str, range(250)), state)}
    frame = json.dumps(told, separators=(",", ":"))
    assert len(frame) < MAX_FRAME
    beat = decode_from_worker(frame)
    assert isinstance(beat, Heartbeat)
    assert beat.dropped == ("checks",) * (MAX_CHECKS + 1)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("db", True),
        ("orders-db:primary_2.eu", True),
        ("7", True),
        ("x" * MAX_CHECK_NAME, True),
        ("x" * (MAX_CHECK_NAME + 1), False),
        ("", False),
        ("-db", False),
        ("_db", False),
        ("a b", False),
        ("db\n", False),
        ("dé", False),
        ('d"b', False),
        ("d/b", False),
    ],
)
def test_names_of_checks(name: str, valid: bool) -> None:
    """What is valid on one side is valid on the other: both ask the same function."""
    assert valid_check_name(name) is valid
    beat = decode_from_worker(json.dumps({"type": "heartbeat", "checks": {name: "healthy"}}))
    usable = Heartbeat(checks=((name, CheckState.HEALTHY),))
    assert beat == (usable if valid else Heartbeat(checks=(), dropped=("checks",)))


@pytest.mark.parametrize("leave", ["1", '"true"', "null", "[true]"])
def test_leave_must_be_true(leave: str) -> None:
    """Only `true` asks to be forgotten."""
    assert decode_from_worker(f'{{"type":"goodbye","leave":{leave}}}') == Goodbye(leave=False)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        ',"received_at":1',
        ',"received_at":"1","sent_at":2',
        ',"received_at":1,"sent_at":null',
        ',"received_at":2,"sent_at":1',
        ',"received_at":-1,"sent_at":1',
        ',"received_at":1,"sent_at":1e12',
        ',"received_at":NaN,"sent_at":NaN',
        ',"received_at":1,"sent_at":Infinity',
        ',"received_at":1,"sent_at":2,"seq":"1"',
        ',"received_at":1,"sent_at":2,"seq":true',
    ],
)
def test_bad_acks(fields: str) -> None:
    """An ack without two usable times in order is refused."""
    with pytest.raises(ProtocolError, match="an ack must have received_at <= sent_at") as caught:
        decode_from_exporter(f'{{"type":"ack"{fields}}}')
    assert caught.value.flaw is Flaw.FIELD


def test_non_finite_numbers_are_never_sent() -> None:
    """NaN would be no JSON: sending it is a defect of the sender."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_heartbeat(Heartbeat(rtt=float("nan")))


def test_standard_library_only() -> None:
    """The exporter imports this file and gets nothing but the standard library with it."""
    code = """if True:
        import sys
        import worker_agent.protocol
        others = {"fastapi", "starlette", "redis", "websockets", "pydantic", "prometheus_client"}
        print(sorted(name for name in sys.modules if name.startswith("worker_agent") or name in others))
    """
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True, cwd=Path(__file__).parents[2]) == (
        "['worker_agent', 'worker_agent.protocol']\n"
    )
