"""POST /register: what is taken, what is handed out, what is refused and how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.api.registration import Registration, derive_id
from exporter.core.model import WorkerId
from tests.support.application import Exporter, running


async def test_answers_with_where_to_send_heartbeats_and_how_often(exporter: Exporter) -> None:
    """A worker that names nothing is handed the exporter's interval and timeout."""
    answer = await exporter.register()
    assert answer.status_code == 201
    assert answer.json() == {
        "worker_id": "worker-1-" + answer.json()["worker_id"][-8:],
        "websocket_path": f"/ws/{answer.json()['worker_id']}",
        "heartbeat_interval": 5.0,
        "heartbeat_timeout": 15.0,
        "protocol": 1,
    }


async def test_a_known_worker_is_answered_with_200(exporter: Exporter) -> None:
    """The same name at the same place is the same worker, whatever process it is."""
    first = await exporter.register(boot_id="one")
    again = await exporter.register(boot_id="two")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["worker_id"] == again.json()["worker_id"]


async def test_an_answered_registration_is_in_the_store(exporter: Exporter) -> None:
    """While the store is there, what was answered survives a kill of the exporter."""
    answer = await exporter.register()
    assert WorkerId(answer.json()["worker_id"]) in exporter.store.records


async def test_registers_while_the_store_is_away(exporter: Exporter) -> None:
    """A store that does not answer costs a worker nothing but the promise to be remembered."""
    exporter.store.away = True
    answer = await exporter.register()
    assert answer.status_code == 201


async def test_an_id_of_its_own_is_kept_and_quoted_in_the_path(exporter: Exporter) -> None:
    """Ids may have spaces, and a path may not."""
    answer = await exporter.register(worker_id="Worker 1")
    assert answer.json()["worker_id"] == "Worker 1"
    assert answer.json()["websocket_path"] == "/ws/Worker%201"


async def test_a_timeout_that_is_not_named_leaves_room_for_three_intervals(exporter: Exporter) -> None:
    """The larger of HEARTBEAT_TIMEOUT and three intervals."""
    answer = await exporter.register(heartbeat_interval=30)
    assert (answer.json()["heartbeat_interval"], answer.json()["heartbeat_timeout"]) == (30.0, 90.0)


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"name": None}, "name", "Input should be a valid string"),
        ({"name": ""}, "name", "at least 1 character"),
        ({"name": "x" * 101}, "name", "at most 100 characters"),
        ({"name": "a\nb"}, "name", "made of letters, digits, space and . : @"),
        ({"name": '"; drop'}, "name", "made of letters, digits, space and . : @"),
        ({"host": "ho st"}, "host", "a host name or an IP address"),
        ({"host": "[]"}, "host", "Address cannot be empty"),
        ({"host": "host:8001"}, "host", "At least 3 parts expected"),
        ({"host": "[host]"}, "host", "At least 3 parts expected"),
        ({"port": 0}, "port", "greater than or equal to 1"),
        ({"port": 65536}, "port", "less than or equal to 65535"),
        ({"port": "http"}, "port", "valid integer"),
        ({"worker_id": "a/b"}, "worker_id", "made of letters, digits, space and"),
        ({"worker_id": ".."}, "worker_id", "a step in a path"),
        ({"group": ""}, "group", "at least 1 character"),
        ({"boot_id": "x" * 101}, "boot_id", "at most 100 characters"),
        ({"started_at": -1}, "started_at", "greater than or equal to 0"),
        ({"heartbeat_interval": 0.05}, "heartbeat_interval", "greater than or equal to 0.1"),
        ({"heartbeat_interval": 3601}, "heartbeat_interval", "less than or equal to 3600"),
        ({"heartbeat_timeout": 5}, "heartbeat_timeout", "above the interval of 5 s"),
        (
            {"heartbeat_interval": 20, "heartbeat_timeout": 20},
            "heartbeat_timeout",
            "above the interval of 20 s",
        ),
        ({"metrics_path": "metrics"}, "metrics_path", "a path that begins with /"),
        ({"metrics_scheme": "ftp"}, "metrics_scheme", "'http' or 'https'"),
        ({"labels": {str(n): "x" for n in range(9)}}, "labels", ""),
        ({"labels": {"a-b": "x"}}, "labels", "a label name"),
        ({"labels": {"a": "x\n"}}, "labels", "text without control characters"),
        ({"protocol": 0}, "protocol", "greater than or equal to 1"),
    ],
)
async def test_a_wrong_field_is_named_with_what_is_expected(
    exporter: Exporter, fields: dict[str, Any], field: str, expected: str
) -> None:
    """422, counted, and nobody registered."""
    answer = await exporter.register(**fields)
    assert answer.status_code == 422
    problems = [(problem["loc"][1], problem["msg"]) for problem in answer.json()["detail"]]
    assert any(named == field and expected in message for named, message in problems), problems
    assert (await exporter.http.get("/workers")).json() == []
    assert await exporter.metric('heartbeat_registration_failures_total{reason="invalid"}') == [
        'heartbeat_registration_failures_total{reason="invalid"} 1.0'
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_are_not_finite_are_refused(exporter: Exporter, number: str) -> None:
    """JSON as Python writes it may hold them; a deadline and a metric may not."""
    body = f'{{"name":"w","host":"h","port":1,"heartbeat_interval":{number},"started_at":{number}}}'
    answer = await exporter.http.post("/register", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert {problem["loc"][1] for problem in answer.json()["detail"]} == {"heartbeat_interval", "started_at"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"name":"\xff"}', b"[" * 60_000, b"9" * 5000]
)
async def test_a_body_that_is_no_object_is_refused(exporter: Exporter, body: bytes) -> None:
    """422 in the same shape as for a wrong field, and counted, even where no decoder understands it."""
    answer = await exporter.http.post("/register", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert {problem["loc"][0] for problem in answer.json()["detail"]} == {"body"}
    assert await exporter.metric('heartbeat_registration_failures_total{reason="invalid"}') == [
        'heartbeat_registration_failures_total{reason="invalid"} 1.0'
    ]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("fd00::1", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("a_b.c", "a_b.c"),
    ],
)
async def test_an_ipv6_address_may_stand_in_brackets(exporter: Exporter, given: str, kept: str) -> None:
    """It is kept without them, and is the same place either way."""
    await exporter.register(host=given)
    [worker] = (await exporter.http.get("/workers")).json()
    assert worker["host"] == kept
    assert (await exporter.register(host=kept)).json()["worker_id"] == worker["worker_id"]


async def test_a_body_beyond_all_measure_is_not_read(exporter: Exporter) -> None:
    """413 after the first 64 KiB."""
    answer = await exporter.http.post("/register", content=b" " * 70_000)
    assert answer.status_code == 413


async def test_a_full_registry_refuses_only_when_all_are_up_or_pending() -> None:
    """503 with Retry-After; once a worker is down it makes room."""
    async with running(max_workers=1) as exporter:
        await exporter.register(worker_id="a")
        refused = await exporter.register(worker_id="b")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "MAX_WORKERS" in refused.json()["detail"]
        await exporter.clock.jump(16)
        accepted = await exporter.register(worker_id="b")
        assert accepted.status_code == 201
        assert [worker["worker_id"] for worker in (await exporter.http.get("/workers")).json()] == ["b"]
        assert await exporter.metric("heartbeat_registration_failures_total") == [
            'heartbeat_registration_failures_total{reason="invalid"} 0.0',
            'heartbeat_registration_failures_total{reason="full"} 1.0',
            'heartbeat_registration_failures_total{reason="groups"} 0.0',
            'heartbeat_registration_failures_total{reason="loading"} 0.0',
        ]


async def test_a_group_too_many_is_named() -> None:
    """422: it is the worker's configuration that has to change."""
    async with running(max_groups=1) as exporter:
        await exporter.register(worker_id="a", group="one")
        refused = await exporter.register(worker_id="b", group="two")
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == ["body", "group"]
        assert "MAX_GROUPS" in refused.json()["detail"][0]["msg"]


def test_an_id_is_derived_from_where_a_worker_is() -> None:
    """Group, name, host and port: a restarted worker gets it again, and no other one."""

    def derived(**fields: Any) -> str:
        return derive_id(Registration(**{"name": "Worker 1", "host": "h", "port": 1, **fields}))

    assert derived() == derived(boot_id="x", version="2", labels={"a": "b"})
    others = {derived(group="g"), derived(name="Worker 2"), derived(host="i"), derived(port=2)}
    assert len(others | {derived()}) == 5
    assert derived().startswith("worker-1-")
    assert derived(name="Übung 5") == "übung-5-" + derived(name="Übung 5")[-8:]


async def test_fields_of_a_newer_agent_are_ignored(exporter: Exporter) -> None:
    """An agent may be newer than the exporter."""
    answer = await exporter.register(colour="blue", protocol=7)
    assert (answer.status_code, answer.json()["protocol"]) == (201, 1)


async def test_the_api_description_can_be_read(exporter: Exporter) -> None:
    """OpenAPI names every field of a registration."""
    schema = (await exporter.http.get("/openapi.json")).json()
    fields = schema["components"]["schemas"]["Registration"]["properties"]
    assert {"name", "host", "port", "worker_id", "group", "heartbeat_interval", "labels"} <= set(fields)
    assert json.dumps(schema)
