"""What is sent to Alertmanager as a test, and what is said about it."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter import notification
from exporter.core.model import Wall
from exporter.notification import RUNBOOK_URL, NotTaken, Taken, new_alert, send, told, without_credentials

SENT = "2026-11-20T09:00:00.250Z"
ALERT = new_alert(group="payments", severity="critical", at=Wall(1_795_165_200.25), seconds=60.0)
FILTERS = ['alertname="HeartbeatTest"', f'sent_at="{SENT}"']


def test_the_alert_says_that_it_is_a_test() -> None:
    """By its name and its text; it is one of its own, and ends by itself."""
    alert = new_alert(group="payments", severity="critical", at=Wall(1_795_165_200.25), seconds=60.0)
    assert alert == {
        "labels": {
            "alertname": "HeartbeatTest",
            "group": "payments",
            "severity": "critical",
            "sent_at": SENT,
        },
        "annotations": {
            "summary": "This is a test. Nothing is wrong.",
            "description": (
                f"Sent by heartbeat-exporter test-notification on {socket.gethostname()} at {SENT}, to show"
                " that notifications arrive. It ends by itself."
            ),
            "runbook_url": RUNBOOK_URL,
        },
        "startsAt": SENT,
        "endsAt": "2026-11-20T09:01:00.250Z",
    }


class Alertmanager:
    """Its two calls, with answers that a test may replace."""

    def __init__(self) -> None:
        self.posted: list[Any] = []
        self.asked: list[list[str]] = []
        self.authorizations: set[str | None] = set()
        self.on_post = web.Response()
        self.on_get = listing()

    async def post(self, request: web.Request) -> web.Response:
        self.posted.append(await request.json())
        self.authorizations.add(request.headers.get("Authorization"))
        return self.on_post

    async def get(self, request: web.Request) -> web.Response:
        self.asked.append(request.query.getall("filter"))
        self.authorizations.add(request.headers.get("Authorization"))
        return self.on_get


def listing(**status: list[str]) -> web.Response:
    alert = {"receivers": [{"name": "default"}, {"name": "audit"}], "status": {"state": "x", **status}}
    return web.json_response([alert])


@pytest.fixture
def alertmanager() -> Alertmanager:
    return Alertmanager()


@pytest.fixture
async def url(alertmanager: Alertmanager) -> AsyncIterator[str]:
    """Its address, below a path as behind a proxy."""
    app = web.Application()
    app.router.add_post("/am/api/v2/alerts", alertmanager.post)
    app.router.add_get("/am/api/v2/alerts", alertmanager.get)
    async with TestServer(app) as server:
        yield str(server.make_url("/am"))


async def test_sends_the_alert_and_asks_what_becomes_of_it(alertmanager: Alertmanager, url: str) -> None:
    """The question names this very alert; a slash at the end of the address does no harm."""
    assert await send(f"{url}/", ALERT) == Taken(["default", "audit"], [])
    assert (alertmanager.posted, alertmanager.asked) == ([[ALERT]], [FILTERS])
    assert alertmanager.authorizations == {None}


async def test_whatever_mutes_it_is_named(alertmanager: Alertmanager, url: str) -> None:
    """A silence, another alert, or an interval of the route."""
    alertmanager.on_get = listing(silencedBy=["s1"], inhibitedBy=["a1", "a2"], mutedBy=["weekend"])
    assert (await send(url, ALERT)).muted_by == ["s1", "a1", "a2", "weekend"]


async def test_basic_auth_of_the_url(alertmanager: Alertmanager, url: str) -> None:
    """Is sent with both requests, decoded."""
    await send(url.replace("http://", "http://ops:p%40ss@"), ALERT)
    assert alertmanager.authorizations == {f"Basic {b64encode(b'ops:p@ss').decode()}"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: web.Response(status=401), "refuses it: 401 Unauthorized"),
        (
            lambda: web.Response(status=400, text='"start time must\nbe before end time"'),
            'refuses it: 400 Bad Request: "start time must be before end time"',
        ),
        (
            lambda: web.Response(status=503, text="x" * 1000),
            f"refuses it: 503 Service Unavailable: {'x' * 300}",
        ),
        (lambda: web.Response(status=302, headers={"Location": "/login"}), "refuses it: 302 Found"),
    ],
    ids=["credentials", "reason", "long", "redirect"],
)
async def test_a_refusal(answer: Any, said: str, alertmanager: Alertmanager, url: str) -> None:
    """Is told with the beginning of its reason on one line, without the password of the URL."""
    alertmanager.on_post = answer()
    with pytest.raises(NotTaken) as refused:
        await send(url.replace("http://", "http://ops:geheim@"), ALERT)
    assert str(refused.value) == f"{url} {said}"
    assert refused.value.exit_code == 1
    assert alertmanager.asked == []


async def test_an_alert_that_is_over_at_once(alertmanager: Alertmanager, url: str) -> None:
    """Alertmanager lists nothing that has ended by its own clock, and would notify nobody of it."""
    alertmanager.on_get = web.json_response([])
    with pytest.raises(NotTaken, match="does not list it: its clock may be so far"):
        await send(url, ALERT)


@pytest.mark.parametrize("text", ["<html>", '{"status": "success"}', "[{}]"])
async def test_another_program(text: str, alertmanager: Alertmanager, url: str) -> None:
    """One that answers everything with 200 is not taken for Alertmanager."""
    alertmanager.on_get = web.Response(text=text)
    with pytest.raises(NotTaken) as refused:
        await send(url, ALERT)
    assert str(refused.value) == f"{url} does not answer as Alertmanager does"


async def test_nobody_there() -> None:
    """The address is named."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(NotTaken) as refused:
            await send(url, ALERT)
    assert str(refused.value).startswith(f"no Alertmanager at {url}: Connect call failed")


async def test_one_that_hangs_up() -> None:
    """A server of another protocol, for example."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(NotTaken, match=f"^{url} does not answer: "):
            await send(url, ALERT)


async def test_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not waited for any longer than ten seconds."""
    assert notification._PATIENCE == 10.0
    monkeypatch.setattr(notification, "_PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(NotTaken, match=f"^{url} does not answer within 0 s$"):
            await send(url, ALERT)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:9093", "http://localhost:9093"),
        ("https://ops:geheim@[::1]:9093/am/", "https://[::1]:9093/am"),
    ],
)
def test_credentials_are_not_shown(url: str, shown: str) -> None:
    """The rest of the URL is, without a slash at its end."""
    assert without_credentials(url) == shown


@pytest.mark.parametrize("url", ["localhost:9093", "ftp://x", "http://", "http://x:0", "http://x:y", ""])
def test_what_is_no_address(url: str) -> None:
    """Scheme, host and port have to be those of an HTTP server."""
    with pytest.raises(ValueError, match=r"."):
        without_credentials(url)


def test_what_is_told() -> None:
    """What was sent where, and what to look at; no password."""
    lines = told("http://ops:geheim@am:9093/", ALERT, Taken(["default", "audit"], []), seconds=60.0)
    assert list(lines) == [
        "Sent HeartbeatTest (group payments, severity critical) to http://am:9093.",
        "It goes to the receivers default and audit.",
        "Look there: the notification leaves after the group_wait of its route, within seconds as shipped.",
        "Its end, after 60 s, is told at the next group_interval, half a minute as shipped.",
        "Nothing came? http://am:9093/#/alerts shows whether it is there, Alertmanager's log what failed.",
    ]


def test_what_is_told_of_a_muted_one() -> None:
    """That it was sent, and by what it is muted."""
    assert list(told("http://am:9093", ALERT, Taken(["default"], ["s1", "weekend"]), seconds=1.5))[1:] == [
        "It goes to the receiver default.",
        "But it is muted, so that no notification will come: by s1, weekend.",
    ]
