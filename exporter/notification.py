"""`heartbeat-exporter test-notification`: an alert that is only a test, on the way that real ones take."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, TypeAdapter, ValidationError

from exporter.clock import rfc3339
from exporter.core.model import Wall
from exporter.errors import ExporterError

ALERTNAME = "HeartbeatTest"
RUNBOOK_URL = (
    "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/notifications.md#heartbeattest"
)

_PATIENCE = 10.0
_QUOTED = 300
"""Characters of an answer that are shown."""


class NotTaken(ExporterError):
    """Alertmanager is not there, or does not take the alert; the text says which."""


@dataclass(frozen=True)
class Taken:
    """What Alertmanager makes of the alert."""

    receivers: Sequence[str]
    muted_by: Sequence[str]
    """Ids of silences and alerts, names of intervals."""


class _Receiver(BaseModel):
    name: str


class _Status(BaseModel):
    silencedBy: list[str] = []
    inhibitedBy: list[str] = []
    mutedBy: list[str] = []  # later than Alertmanager 0.25


class _Listed(BaseModel):
    """An alert as Alertmanager lists it; what is not needed of it is left out."""

    receivers: list[_Receiver]
    status: _Status


_LISTED = TypeAdapter(list[_Listed])


def new_alert(*, group: str, severity: str, at: Wall, seconds: float) -> dict[str, Any]:
    """An alert as Alertmanager's API takes it, which ends by itself after so many seconds.

    The time is among its labels, so that each test is an alert of its own: one that fires already
    would not be notified again.
    """
    sent = rfc3339(at)
    return {
        "labels": {"alertname": ALERTNAME, "group": group, "severity": severity, "sent_at": sent},
        "annotations": {
            "summary": "This is a test. Nothing is wrong.",
            "description": (
                f"Sent by heartbeat-exporter test-notification on {socket.gethostname()} at {sent}, to show"
                " that notifications arrive. It ends by itself."
            ),
            "runbook_url": RUNBOOK_URL,
        },
        "startsAt": sent,
        "endsAt": rfc3339(Wall(at + seconds)),
    }


def without_credentials(url: str) -> str:
    """The URL as it may be shown, without a slash at its end. Raises ValueError: it is none of HTTP's."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must begin with http:// or https:// and name a host")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


async def send(url: str, alert: Mapping[str, Any]) -> Taken:
    """Give the alert to the Alertmanager at `url`, and ask what becomes of it. Raises NotTaken."""
    api = f"{url.rstrip('/')}/api/v2/alerts"
    filters = [("filter", f'{name}="{alert["labels"][name]}"') for name in ("alertname", "sent_at")]
    shown = without_credentials(url)
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            # A POST that is redirected would go on as a GET, and be answered as if it had been taken.
            async with session.post(api, json=[alert], allow_redirects=False) as answer:
                await _refuse_unless_ok(shown, answer)
            async with session.get(api, params=filters, allow_redirects=False) as answer:
                await _refuse_unless_ok(shown, answer)
                listed = _LISTED.validate_json(await answer.read())
    except TimeoutError:
        raise NotTaken(f"{shown} does not answer within {_PATIENCE:.0f} s") from None
    except aiohttp.ClientConnectorError as error:
        raise NotTaken(f"no Alertmanager at {shown}: {error.strerror or error.os_error}") from error
    except aiohttp.ClientError as error:
        raise NotTaken(f"{shown} does not answer: {error}") from error
    except ValidationError:
        raise NotTaken(f"{shown} does not answer as Alertmanager does") from None
    if not listed:
        raise NotTaken(
            f"{shown} has taken the alert and does not list it: its clock may be so far from that of this"
            " machine that the alert is over already"
        )
    status = listed[0].status
    return Taken(
        receivers=[receiver.name for receiver in listed[0].receivers],
        muted_by=[*status.silencedBy, *status.inhibitedBy, *status.mutedBy],
    )


async def _refuse_unless_ok(shown: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        said = " ".join((await answer.text(errors="replace"))[:_QUOTED].split())
        raise NotTaken(f"{shown} refuses it: {answer.status} {answer.reason}{said and f': {said}'}")


def told(url: str, alert: Mapping[str, Any], taken: Taken, *, seconds: float) -> Iterator[str]:
    """What was done and what to look at, a line each."""
    labels, shown = alert["labels"], without_credentials(url)
    yield f"Sent {ALERTNAME} (group {labels['group']}, severity {labels['severity']}) to {shown}."
    plural = "s" if len(taken.receivers) > 1 else ""
    yield f"It goes to the receiver{plural} {' and '.join(taken.receivers)}."
    if taken.muted_by:
        yield f"But it is muted, so that no notification will come: by {', '.join(taken.muted_by)}."
        return
    yield "Look there: the notification leaves after the group_wait of its route, within seconds as shipped."
    yield f"Its end, after {seconds:g} s, is told at the next group_interval, half a minute as shipped."
    yield f"Nothing came? {shown}/#/alerts shows whether it is there, Alertmanager's log what failed."
