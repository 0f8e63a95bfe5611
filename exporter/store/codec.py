"""A worker's record as JSON: the format that stores keep and people read. See docs/store.md.

Text times (RFC 3339, UTC) are for people and are not read back; `*timestamp` fields are Unix seconds
and are exact. `decode(encode(record)) == record` for every record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from exporter.clock import rfc3339
from exporter.core.lifecycle import REASONS
from exporter.core.model import (
    AFTER_FORGOTTEN,
    BEFORE_NEW,
    DOWN_REASONS,
    HISTORY,
    Facts,
    Reason,
    Record,
    Status,
    Totals,
    Transition,
    Wall,
    WorkerId,
)
from exporter.store import fields
from exporter.store.base import Quarantined
from exporter.store.fields import Corrupt, Json

VERSION = 1
"""Of the format; a record with another one is not guessed at but put aside."""


class _Fragments(NamedTuple):
    """The parts of a worker's JSON that hold as long as these objects are the same."""

    facts: Facts
    history: tuple[Transition, ...]
    since: Wall
    head: str
    entered: str
    tail: str


class Encoder:
    """Turns records into JSON; what did not change since last time is not encoded again.

    Facts and histories are replaced, never altered, so that identity tells whether they changed. A
    record is written every few seconds and changes its facts or its history once in hours.
    """

    def __init__(self, owner: str) -> None:
        self._owner = json.dumps(owner)
        self._stamp = ""
        self._fragments: dict[WorkerId, _Fragments] = {}
        self.stamp(0)

    def stamp(self, epoch: int) -> None:
        """From now on records say that they were written in this epoch; see `Store.acquire`."""
        self._stamp = f',"owner":{self._owner},"epoch":{epoch}}}'

    def forget(self, ids: Iterable[WorkerId]) -> None:
        for worker_id in ids:
            self._fragments.pop(worker_id, None)

    def encode(self, record: Record) -> str:
        """One JSON object. ValueError for a number that is not finite."""
        facts, totals, last_heartbeat = record.facts, record.totals, record.last_heartbeat
        if not isfinite(record.last_seen + (last_heartbeat or 0.0)):
            raise ValueError(f"a time of worker {facts.worker_id} is not finite")
        known = self._fragments.get(facts.worker_id)
        if (
            known is None
            or known.facts is not facts
            or known.history is not record.history
            or known.since != record.since
        ):
            known = self._fragments[facts.worker_id] = _fragments(record)
        if last_heartbeat is None:
            beat, beat_text = "null", "null"
        else:
            beat, beat_text = repr(last_heartbeat), f'"{rfc3339(last_heartbeat)}"'
        down = ",".join([f'"{reason}":{time}' for reason, time in totals.down]) if totals.down else ""
        return (
            f'{known.head},"status":"{record.status}","reason":"{record.reason}",{known.entered},'
            f'"last_heartbeat":{beat_text},"last_heartbeat_timestamp":{beat},'
            f'"last_seen_timestamp":{record.last_seen!r},"heartbeats":{totals.heartbeats},'
            f'"missed_heartbeats":{totals.missed},"restarts":{totals.restarts},"up_nanoseconds":{totals.up},'
            f'"down_nanoseconds":{{{down}}},{known.tail}{self._stamp}'
        )


def _fragments(record: Record) -> _Fragments:
    facts = record.facts
    said = {
        "v": VERSION,
        "worker_id": facts.worker_id,
        "name": facts.name,
        "group": facts.group,
        "host": facts.host,
        "port": facts.port,
        "version": facts.version,
        "boot_id": facts.boot_id,
        "started_at": facts.started_at,
        "heartbeat_interval": facts.interval,
        "heartbeat_timeout": facts.timeout,
        "metrics_path": facts.metrics_path,
        "metrics_scheme": facts.metrics_scheme,
        "labels": dict(facts.labels),
    }
    entered = {"since": rfc3339(record.since), "since_timestamp": record.since}
    history = {"history": [_change(transition, facts) for transition in record.history]}
    return _Fragments(
        facts, record.history, record.since, _json(said)[:-1], _json(entered)[1:-1], _json(history)[1:-1]
    )


def _change(transition: Transition, facts: Facts) -> dict[str, object]:
    """A line of the history; name and group only where the worker had others then."""
    change: dict[str, object] = {
        "from": transition.from_name,
        "to": transition.to_name,
        "reason": transition.reason,
        "timestamp": transition.at,
    }
    if transition.worker != facts.name:
        change["name"] = transition.worker
    if transition.group != facts.group:
        change["group"] = transition.group
    return change


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def flat(transition: Transition) -> tuple[str, ...]:
    """A transition as both stores keep it: in the order of the script's fields and the table's columns."""
    return (
        *(transition.worker_id, transition.worker, transition.group, transition.from_name),
        *(transition.to_name, transition.reason, rfc3339(transition.at), repr(transition.at)),
    )


def read(worker_id: bytes, text: bytes) -> Record | Quarantined:
    """What a store holds under an id, or what is wrong with it; for people, so any id has a spelling."""
    try:
        return decode(worker_id.decode(), text)
    except (Corrupt, UnicodeDecodeError) as error:
        return Quarantined(worker_id.decode(errors="backslashreplace"), str(error))


def decode(worker_id: str, text: bytes) -> Record:
    """Read back what `encode` wrote for this worker, whoever may have edited it since.

    Raises:
        Corrupt: it is not a record of this worker in this format.
    """
    try:
        data = _DECODER.decode(text.decode())
    except ValueError as error:
        raise Corrupt(f"not JSON: {error}") from error
    except RecursionError as error:
        raise Corrupt("not JSON that anybody meant: nested too deeply") from error
    if type(data) is not dict:
        raise Corrupt("not a JSON object")
    if data.get("v") != VERSION:
        raise Corrupt(f"format version {data.get('v')!r}, expected {VERSION}")
    if data.get("worker_id") != worker_id:
        raise Corrupt(f"worker_id is {data.get('worker_id')!r}, expected {worker_id!r}")
    facts = _facts(data)
    status = fields.one_of(_STATUSES, data, "status")
    reason = fields.one_of(_REASONS, data, "reason")
    if reason not in REASONS[status]:
        raise Corrupt(f"no worker is {status} for the reason {reason}")
    return Record(
        facts,
        status,
        reason,
        fields.time(data, "since_timestamp"),
        fields.time(data, "last_seen_timestamp"),
        fields.optional(fields.time, data, "last_heartbeat_timestamp"),
        Totals(
            fields.count(data, "heartbeats"),
            fields.count(data, "missed_heartbeats"),
            fields.count(data, "restarts"),
            fields.count(data, "up_nanoseconds"),
            _down(data),
        ),
        _history(data, facts),
    )


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_STATUSES: dict[object, Status] = {status.value: status for status in Status}
_REASONS: dict[object, Reason] = {reason.value: reason for reason in Reason}
_FROM: dict[object, Status | None] = {BEFORE_NEW: None, **_STATUSES}
_TO: dict[object, Status | None] = {AFTER_FORGOTTEN: None, **_STATUSES}
_DOWN: dict[object, Reason] = {reason.value: reason for reason in DOWN_REASONS}


def _facts(data: Json) -> Facts:
    return Facts(
        worker_id=WorkerId(fields.text(data, "worker_id")),
        name=fields.text(data, "name"),
        group=fields.text(data, "group"),
        host=fields.text(data, "host"),
        port=fields.count(data, "port"),
        version=fields.text(data, "version"),
        boot_id=fields.optional(fields.text, data, "boot_id"),
        started_at=fields.optional(fields.number, data, "started_at"),
        interval=fields.duration(data, "heartbeat_interval"),
        timeout=fields.duration(data, "heartbeat_timeout"),
        metrics_path=fields.optional(fields.text, data, "metrics_path"),
        metrics_scheme=fields.text(data, "metrics_scheme"),
        labels=_labels(data),
    )


def _labels(data: Json) -> tuple[tuple[str, str], ...]:
    labels = fields.field(data, "labels", dict)
    return tuple([(fields.unicode(key, "labels"), fields.text(labels, key)) for key in labels])


def _down(data: Json) -> tuple[tuple[Reason, int], ...]:
    down = fields.field(data, "down_nanoseconds", dict)
    unknown = [reason for reason in down if reason not in _DOWN]
    if unknown:
        raise Corrupt(f"down_nanoseconds names {unknown[0]!r}, expected one of {', '.join(DOWN_REASONS)}")
    return tuple([(_DOWN[reason], fields.count(down, reason)) for reason in down])


def _history(data: Json, facts: Facts) -> tuple[Transition, ...]:
    changes = fields.field(data, "history", list)[-HISTORY:]
    if not all(type(change) is dict for change in changes):
        raise Corrupt("history holds something that is not an object")
    return tuple(
        [
            Transition(
                facts.worker_id,
                fields.text(change, "name") if "name" in change else facts.name,
                fields.text(change, "group") if "group" in change else facts.group,
                fields.one_of(_FROM, change, "from"),
                fields.one_of(_TO, change, "to"),
                fields.one_of(_REASONS, change, "reason"),
                fields.time(change, "timestamp"),
            )
            for change in changes
        ]
    )
