"""What the heartbeat client decides, one call at a time, on a clock that is only a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker_agent.actions import (
    NONE,
    Action,
    Cause,
    Dial,
    Finished,
    HangUp,
    Readings,
    Refusal,
    Register,
    Registration,
    Retry,
    Send,
)
from worker_agent.protocol import Ack, Checks, CheckState, Close, encode_ack
from worker_agent.session import Phase, Session
from worker_agent.statistics import Statistics

WALL = 1_795_000_000.0
"""Unix time when the monotonic clock showed zero."""
URL = "ws://exporter:8000/ws/w1"
ANSWER = Registration("w1", URL, heartbeat_interval=5.0, heartbeat_timeout=15.0)
GOODBYE = Send('{"type":"goodbye","leave":false}')


def low(low: float, high: float) -> float:
    return low


class Driver:
    """A session and its clock; `go` jumps from deadline to deadline as the client would."""

    def __init__(self, uniform: Callable[[float, float], float] = low, answer: Registration = ANSWER) -> None:
        self.now = 100.0
        self.answer = answer
        self.session = Session(Statistics(), uniform)

    @property
    def wall(self) -> float:
        return WALL + self.now

    def tick(self, readings: Readings = NONE) -> list[Action]:
        self.session.tick(self.now, self.wall, readings)
        return self.session.actions()

    def go(self, until: float) -> list[tuple[float, Action]]:
        """Let the time pass, calling `tick` punctually; what was done and when."""
        done = []
        while (deadline := self.session.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            done += [(self.now, action) for action in self.tick()]
        self.now = until
        return done

    def register(self) -> list[Action]:
        """Through the registration, up to the dialling."""
        assert self.tick() == [Register()]
        self.session.registered(self.answer)
        return self.session.actions()

    def open(self) -> list[Action]:
        """Through everything, up to the first heartbeat."""
        assert self.register() == [Dial(self.answer.websocket_url)]
        return self.reopen()

    def reopen(self, readings: Readings = NONE) -> list[Action]:
        self.session.opened(self.now, self.wall, readings)
        return self.session.actions()

    def refuse(self, status: int | None = None, retry_after: float | None = None) -> list[Action]:
        self.session.refused(Refusal("no", status, retry_after), self.now)
        return self.session.actions()

    def close(self, code: int | None) -> list[Action]:
        self.session.closed(code, "gone", self.now)
        return self.session.actions()

    def answer_beat(self, seq: int, *, took: float = 0.01) -> None:
        """The exporter's answer, half of the time there and half back, by a clock as right as ours."""
        self.now += took
        middle = self.wall - took / 2
        self.session.frame(encode_ack(Ack(seq, middle, middle)), self.now)


def beat(action: Action) -> dict[str, object]:
    assert isinstance(action, Send)
    fields: dict[str, object] = json.loads(action.frame)
    assert fields.pop("type") == "heartbeat"
    return fields


def test_from_nothing_to_the_first_heartbeat() -> None:
    """It registers at once, dials at once, beats at once and asks for an answer."""
    driver = Driver()
    assert driver.register() == [Dial(URL)]
    assert driver.session.phase is Phase.DIALLING
    assert driver.session.deadline() is None
    [first] = driver.reopen()
    assert first == Send('{"type":"heartbeat","seq":1,"sent_at":1795000100.0,"ack":true}')
    assert driver.session.statistics == Statistics(connected=True, worker_id="w1", heartbeats_sent=1)


def test_rhythm_and_asking() -> None:
    """It beats each interval without drift and asks on the first and every third heartbeat."""
    driver = Driver()
    beats = [(driver.now, action) for action in driver.open()]
    driver.answer_beat(1)
    for start in (115.0, 130.0):
        beats += driver.go(start)
        driver.answer_beat(int((start - 100) / 5) + 1)
    told = [(at, beat(action)["seq"], beat(action).get("ack", False)) for at, action in beats]
    assert told == [
        (100.0, 1, True),
        (105.0, 2, False),
        (110.0, 3, False),
        (115.0, 4, True),
        (120.0, 5, False),
        (125.0, 6, False),
        (130.0, 7, True),
    ]


def test_each_may_ask() -> None:
    """Whoever measures wants every answer, and to know whether one is overdue."""
    driver = Driver()
    driver.session = Session(driver.session.statistics, ack_every=1)
    assert not driver.session.answered
    driver.open()
    assert driver.session.answered
    driver.answer_beat(1)
    assert [beat(action)["ack"] for _, action in driver.go(105.0)] == [True]
    assert driver.session.answered
    assert driver.go(107.5) == []
    assert not driver.session.answered
    driver.answer_beat(2)
    assert driver.session.answered


def test_late_timer_keeps_the_rhythm() -> None:
    """A timer a little late does not shift the heartbeats after it."""
    driver = Driver()
    driver.open()
    driver.answer_beat(1)
    driver.now = 106.0
    assert beat(driver.tick()[0])["seq"] == 2
    assert driver.session.deadline() == 110.0


def test_beats_slept_through() -> None:
    """After a long sleep one heartbeat goes out, not all those that were missed."""
    driver = Driver()
    driver.open()
    driver.answer_beat(1)
    driver.now = 163.0
    assert [beat(action)["seq"] for action in driver.tick()] == [2]
    assert driver.session.deadline() == 168.0


def test_tick_too_early() -> None:
    """Calling before the deadline does nothing."""
    driver = Driver()
    driver.tick()
    driver.refuse()
    assert driver.tick() == []
    driver.now += 1.0
    assert driver.register() == [Dial(URL)]
    driver.reopen()
    driver.now += 0.5
    assert driver.tick() == []


def test_measurements_are_news_once() -> None:
    """Round trip and offset go with the one heartbeat after the answer, the loop's lag with each."""
    driver = Driver()
    driver.open()
    driver.answer_beat(1, took=0.02)
    driver.now = 105.0
    [second] = driver.tick(Readings(loop_lag=0.1234567))
    assert beat(second) == {
        "seq": 2,
        "sent_at": 1795000105.0,
        "rtt": 0.02,
        "clock_offset": 0.0,
        "loop_lag": 0.123457,
    }
    driver.now = 110.0
    [third] = driver.tick(Readings(loop_lag=7200.0))
    assert beat(third) == {"seq": 3, "sent_at": 1795000110.0, "loop_lag": 3600.0}
    statistics = driver.session.statistics
    assert (sum(statistics.round_trip_counts), statistics.round_trip_sum) == (1, pytest.approx(0.02))


def test_checks_are_told_when_they_differ() -> None:
    """The first heartbeat has them, and after it each that follows a change; saying nothing is none."""
    well: Checks = (("cache", CheckState.HEALTHY), ("db", CheckState.HEALTHY))
    ill: Checks = (("cache", CheckState.HEALTHY), ("db", CheckState.UNHEALTHY))
    driver = Driver()
    driver.register()
    actions = driver.reopen(Readings(checks=well))
    driver.answer_beat(1)
    for checks in (well, tuple(well), None, ill, None, ill, (), ()):
        driver.now += 5.0
        actions += driver.tick(Readings(checks=checks))
        driver.answer_beat(driver.session.statistics.heartbeats_sent)
    assert [beat(action).get("checks") for action in actions] == [
        {"cache": "healthy", "db": "healthy"},
        None,
        None,
        None,
        {"cache": "healthy", "db": "unhealthy"},
        None,
        None,
        {},
        None,
    ]


def test_checks_are_told_again_on_another_connection() -> None:
    """Whoever is at its other end may never have heard of them."""
    readings = Readings(checks=(("db", CheckState.HEALTHY),))
    driver = Driver()
    driver.register()
    driver.reopen(readings)
    driver.close(None)
    driver.go(driver.now + 1.0)
    [first] = driver.reopen(readings)
    assert beat(first)["checks"] == {"db": "healthy"}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        b"\xff",
        '{"type":"tomorrow"}',
        '{"type":"ack"}',
        '{"type":"ack","seq":null,"received_at":1,"sent_at":1}',
        '{"type":"ack","seq":2,"received_at":1,"sent_at":1}',
    ],
)
def test_frames_that_answer_nothing(frame: str | bytes) -> None:
    """A frame that is not the answer to a heartbeat that asked changes nothing."""
    driver = Driver()
    driver.open()
    driver.session.frame(frame, driver.now)
    assert driver.session.actions() == []
    assert driver.session.deadline() == 102.0


def test_answer_twice() -> None:
    """A repeated answer is counted once."""
    driver = Driver()
    driver.open()
    driver.answer_beat(1)
    driver.answer_beat(1)
    assert sum(driver.session.statistics.round_trip_counts) == 1


def test_dead_path() -> None:
    """Two unanswered questions end the connection; the second is asked with the very next beat."""
    driver = Driver()
    driver.open()
    done = driver.go(107.0)
    assert [at for at, _ in done] == [105.0, 107.0, 107.0]
    assert beat(done[0][1]) == {"seq": 2, "sent_at": 1795000105.0, "ack": True}
    assert [action for _, action in done[1:]] == [
        HangUp(),
        Retry(Cause.NO_ANSWER, "no answer to 2 heartbeats, 2 s each", 1.0),
    ]
    assert driver.session.statistics.connected is False
    assert driver.go(108.0) == [(108.0, Dial(URL))]


def test_late_answer_proves_the_path() -> None:
    """An answer after its two seconds makes up for the miss, though not for the newer question."""
    driver = Driver()
    driver.open()
    driver.go(105.5)
    driver.session.frame(encode_ack(Ack(1, driver.wall, driver.wall)), driver.now)
    assert driver.session.deadline() == 107.0
    assert [action for _, action in driver.go(107.5)] == []
    assert driver.session.phase is Phase.OPEN
    assert beat(driver.go(110.0)[0][1])["ack"] is True


def test_held_up_ourselves() -> None:
    """After a pause of our own an answer gets its two seconds once more, but only once."""
    driver = Driver()
    driver.open()
    driver.now = 160.0
    [resumed] = driver.tick()
    assert beat(resumed) == {"seq": 2, "sent_at": 1795000160.0}
    driver.answer_beat(1, took=1.5)
    assert driver.session.deadline() == 165.0

    driver = Driver()
    driver.open()
    for driver.now in (150.0, 200.0, 250.0):
        driver.tick()
    assert driver.session.phase is Phase.OPEN
    driver.now = 300.0
    assert HangUp() in driver.tick()


def test_questions_do_not_pile_up() -> None:
    """With heartbeats faster than answers only one question is open at a time."""
    driver = Driver(answer=Registration("w1", URL, heartbeat_interval=0.1, heartbeat_timeout=1.0))
    driver.open()
    done = driver.go(101.9)
    assert [beat(action).get("ack", False) for _, action in done] == [False] * len(done)
    assert len(done) == 19


@pytest.mark.parametrize(
    ("code", "cause", "delay", "then"),
    [
        (Close.RESTART, Cause.RESTART, 1.0, Dial(URL)),
        (Close.REPLACED, Cause.REPLACED, 15.0, Register()),
        (Close.FORGOTTEN, Cause.FORGOTTEN, 1.0, Register()),
        (Close.NORMAL, Cause.CONNECTION_LOST, 1.0, Dial(URL)),
        (Close.ABUSE, Cause.CONNECTION_LOST, 1.0, Dial(URL)),
        (1000, Cause.CONNECTION_LOST, 1.0, Dial(URL)),
        (None, Cause.CONNECTION_LOST, 1.0, Dial(URL)),
    ],
)
def test_close_codes(code: int | None, cause: Cause, delay: float, then: Action) -> None:
    """Each close code has its delay, and its way back: by the known address or by registering."""
    driver = Driver()
    driver.open()
    assert driver.close(code) == [Retry(cause, "gone", delay)]
    statistics = driver.session.statistics
    assert (statistics.connected, statistics.problem) == (False, "gone")
    assert statistics.reconnects == {**dict.fromkeys(Cause, 0), cause: 1}
    assert driver.go(100.0 + delay) == [(100.0 + delay, then)]


@pytest.mark.parametrize(("interval", "latest"), [(0.1, 1.1), (5.0, 6.0), (600.0, 15.0)])
def test_restart_is_spread_over_one_interval(interval: float, latest: float) -> None:
    """After 1012 a fleet comes back spread over one interval, and within the largest delay."""
    for uniform, delay in ((low, 1.0), (lambda low, high: high, latest)):
        driver = Driver(uniform, Registration("w1", URL, interval, 3 * interval))
        driver.open()
        assert driver.close(Close.RESTART) == [Retry(Cause.RESTART, "gone", pytest.approx(delay))]


@pytest.mark.parametrize(
    ("status", "retry_after", "cause", "delay"),
    [
        (None, None, Cause.UNREACHABLE, 1.0),
        (503, None, Cause.UNAVAILABLE, 1.0),
        (503, 7.0, Cause.UNAVAILABLE, 7.0),
        (503, 0.0, Cause.UNAVAILABLE, 1.0),
        (503, 86400.0, Cause.UNAVAILABLE, 60.0),
        (429, 7.0, Cause.UNAVAILABLE, 7.0),
        (429, None, Cause.UNAVAILABLE, 1.0),
        (408, None, Cause.UNAVAILABLE, 1.0),
        (500, None, Cause.UNAVAILABLE, 1.0),
        (502, 3.0, Cause.UNAVAILABLE, 3.0),
        (404, None, Cause.REFUSED, 15.0),
        (422, None, Cause.REFUSED, 60.0),
        (422, 1.0, Cause.REFUSED, 60.0),
        (401, None, Cause.REFUSED, 60.0),
        (307, None, Cause.REFUSED, 60.0),
        (200, None, Cause.REFUSED, 60.0),
    ],
)
def test_refused_registration(
    status: int | None, retry_after: float | None, cause: Cause, delay: float
) -> None:
    """What can pass is tried again soon or when told; what needs another setting, slowly."""
    driver = Driver()
    driver.tick()
    assert driver.refuse(status, retry_after) == [Retry(cause, "no", delay)]
    assert driver.go(100.0 + delay) == [(100.0 + delay, Register())]


@pytest.mark.parametrize(
    ("status", "retry_after", "cause", "delay", "then"),
    [
        (None, None, Cause.UNREACHABLE, 1.0, Dial(URL)),
        (404, None, Cause.UNKNOWN_WORKER, 1.0, Register()),
        (503, 9.0, Cause.UNAVAILABLE, 9.0, Dial(URL)),
        (500, None, Cause.UNAVAILABLE, 1.0, Dial(URL)),
        (403, None, Cause.REFUSED, 60.0, Dial(URL)),
    ],
)
def test_refused_handshake(
    status: int | None, retry_after: float | None, cause: Cause, delay: float, then: Action
) -> None:
    """A 404 means that the exporter does not know us: register; anything else: dial again."""
    driver = Driver()
    driver.register()
    assert driver.refuse(status, retry_after) == [Retry(cause, "no", delay)]
    assert driver.go(100.0 + delay) == [(100.0 + delay, then)]


def test_retry_after_is_spread() -> None:
    """Up to a second is added to what a whole fleet was told."""
    driver = Driver(lambda low, high: high)
    driver.tick()
    assert driver.refuse(503, 5.0) == [Retry(Cause.UNAVAILABLE, "no", 6.0)]


def test_address_of_a_dead_exporter() -> None:
    """After three failed handshakes it asks for an address again, and after it for three more."""
    driver = Driver()
    driver.register()
    for _ in range(2):
        for then in (Dial(URL), Dial(URL), Register()):
            driver.refuse()
            assert [action for _, action in driver.go(driver.now + 1.0)] == [then]
        driver.session.registered(ANSWER)
        assert driver.session.actions() == [Dial(URL)]


def test_only_an_answer_resets_the_backoff() -> None:
    """A server that accepts and closes is met with growing delays; an answered heartbeat ends them."""
    driver = Driver(lambda low, high: high)
    driver.open()
    delays = []
    for _ in range(5):
        [retry] = driver.close(1000)
        assert isinstance(retry, Retry)
        delays.append(retry.delay)
        driver.go(driver.now + retry.delay)
        driver.reopen()
    assert delays == [2.0, 4.0, 8.0, 15.0, 15.0]
    driver.answer_beat(1)
    assert driver.close(1000) == [Retry(Cause.CONNECTION_LOST, "gone", 2.0)]


def test_sequence_begins_anew() -> None:
    """Each connection counts from 1 and knows nothing of the clock at the end of another."""
    driver = Driver()
    driver.open()
    driver.answer_beat(1)
    driver.close(None)
    driver.go(driver.now + 1.0)
    [first] = driver.reopen()
    assert beat(first) == {"seq": 1, "sent_at": round(driver.wall, 6), "ack": True}


@pytest.mark.parametrize("leave", [False, True])
def test_goodbye(leave: bool) -> None:
    """Stopped while connected it says goodbye, hangs up and is done; stopping again adds nothing."""
    driver = Driver()
    driver.open()
    driver.session.stop(leave=leave)
    driver.session.stop(leave=not leave)
    goodbye = Send(f'{{"type":"goodbye","leave":{"true" if leave else "false"}}}')
    assert driver.session.actions() == [goodbye, HangUp(), Finished()]
    assert driver.session.deadline() is None
    assert driver.session.statistics.problem == "stopped"


def test_stopped_before_it_was_connected() -> None:
    """Stopped at any point before, there is nobody to say goodbye to."""
    waiting = Driver()
    registering = Driver()
    registering.tick()
    dialling = Driver()
    dialling.register()
    for driver in (waiting, registering, dialling):
        driver.session.stop(leave=False)
        assert driver.session.actions() == [HangUp(), Finished()]


def test_reports_after_the_end() -> None:
    """What was under way when it stopped may still report and changes nothing."""
    driver = Driver()
    driver.open()
    driver.session.stop(leave=False)
    driver.session.actions()
    driver.session.registered(ANSWER)
    driver.answer_beat(1)
    assert driver.tick() + driver.reopen() + driver.refuse(503) + driver.close(1000) == []
    assert driver.session.phase is Phase.STOPPED


@pytest.mark.parametrize(
    "report",
    [
        lambda driver: driver.session.registered(ANSWER),
        lambda driver: driver.reopen(),
        lambda driver: driver.answer_beat(1),
        lambda driver: driver.close(1000),
        lambda driver: driver.refuse(503),
    ],
)
def test_impossible_reports(report: Callable[[Driver], object]) -> None:
    """A report that nothing led up to is a defect of the caller and is told as one."""
    driver = Driver()
    with pytest.raises(AssertionError, match="this cannot happen while WAITING"):
        report(driver)


servers = st.lists(
    st.one_of(
        st.tuples(st.just("refuse"), st.sampled_from([None, 404, 422, 429, 500, 503]), st.floats(0, 99)),
        st.tuples(st.just("close"), st.sampled_from([None, 1000, 1008, 1012, 4001, 4004]), st.floats(0, 9)),
        st.tuples(st.just("answer"), st.none(), st.floats(0, 1.9)),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(servers, st.randoms(use_true_random=False))
def test_never_more_than_one_dial_a_second(
    script: list[tuple[str, int | None, float]], random: object
) -> None:
    """Whatever a server does, registrations are a second apart and so are dials."""
    driver = Driver(random.uniform)  # type: ignore[attr-defined]
    driver.now = 0.0
    registered: list[float] = []
    dialled: list[float] = []

    def note(actions: list[Action]) -> None:
        registered.extend(driver.now for action in actions if action == Register())
        dialled.extend(driver.now for action in actions if isinstance(action, Dial))

    note(driver.tick())
    for what, code, seconds in script:
        phase = driver.session.phase
        if phase is Phase.OPEN:
            done = driver.go(driver.now + seconds)
            dialled.extend(at for at, action in done if isinstance(action, Dial))
            if driver.session.phase is not Phase.OPEN:
                continue
            if what == "answer":
                driver.answer_beat(driver.session.statistics.heartbeats_sent)
            else:
                note(driver.close(code))
        elif phase is Phase.WAITING:
            deadline = driver.session.deadline()
            assert deadline is not None
            driver.now = deadline
            note(driver.tick())
        elif what == "refuse":
            note(driver.refuse(code, seconds))
        elif phase is Phase.REGISTERING:
            driver.session.registered(ANSWER)
            note(driver.session.actions())
        else:
            note(driver.reopen())
    for times in (registered, dialled):
        assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in pairwise(times))
