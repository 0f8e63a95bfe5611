"""POST /register: a worker introduces itself and learns where to send its heartbeats."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Coroutine
from ipaddress import IPv6Address
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from exporter.api.refusals import Readiness, RegistryLoading
from exporter.core.events import Register
from exporter.core.fleet import RegistryFull, TooManyGroups
from exporter.core.model import Facts, WorkerId
from exporter.monitor import Monitor
from exporter.settings import Seconds, Settings
from exporter.telemetry import RegistrationFailure, Telemetry
from worker_agent import protocol


def _made_of(pattern: str, expected: str) -> AfterValidator:
    """A check whose error is for people: a regular expression is not."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise PydanticCustomError("characters", "Input should be {expected}", {"expected": expected})
        return text

    return AfterValidator(check)


def _reachable(worker_id: str) -> str:
    if worker_id in (".", ".."):
        raise ValueError("clients take it for a step in a path and not for an id")
    return worker_id


def _without_brackets(host: str) -> str:
    if not set(":%[]").intersection(host):
        return host
    return str(IPv6Address(host.removeprefix("[").removesuffix("]")))


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    _made_of(r"[\w .:@/+#()-]+", "made of letters, digits, space and . : @ / + # ( ) - _"),
]

Id = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=128),
    _made_of(r"[\w .:@+-]+", "made of letters, digits, space and . : @ + - _"),
    AfterValidator(_reachable),
]
"""A name that also stands in a path: no slash, no hash."""

Host = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    _made_of(r"[A-Za-z0-9._:%\[\]-]+", "a host name or an IP address"),
    AfterValidator(_without_brackets),
]
"""A host name or an IP address; IPv6 may come in brackets, and is without them from here on."""

Token = Annotated[
    str, StringConstraints(max_length=100), _made_of(r"[!-~]*", "printable ASCII without space")
]

MetricsPath = Annotated[
    str, StringConstraints(max_length=256), _made_of(r"/[!-~]*", "a path that begins with /, in ASCII")
]

LabelKey = Annotated[
    str,
    StringConstraints(max_length=48),
    _made_of(r"[a-zA-Z_][a-zA-Z0-9_]*", "a label name: letters, digits and _, no digit first"),
]

LabelValue = Annotated[
    str, StringConstraints(max_length=128), _made_of(r"[^\x00-\x1f\x7f]*", "text without control characters")
]

WriteThrough = Callable[[WorkerId], Awaitable[bool]]
"""Comes back when a worker, as it is now, is in the store, or soon if the store is away."""


class Registration(BaseModel):
    """What a worker says of itself. Fields that are not named here are ignored."""

    model_config = ConfigDict(str_max_length=512)

    name: Name
    host: Host
    port: int = Field(ge=1, le=65535)
    worker_id: Id | None = None
    group: Name = "default"
    boot_id: Token | None = None
    started_at: float | None = Field(None, ge=0, le=1e11, allow_inf_nan=False, description="Unix seconds")
    heartbeat_interval: Seconds | None = Field(None, description="Seconds; the exporter's if not named")
    heartbeat_timeout: Seconds | None = Field(None, description="Seconds; must be above the interval")
    version: Token = ""
    metrics_path: MetricsPath | None = None
    metrics_scheme: Literal["http", "https"] = "http"
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=8)
    protocol: int = Field(protocol.VERSION, ge=1)


class _BodyOrInvalid(APIRoute):
    """A body that no decoder makes sense of (not UTF-8, nested without end) is invalid like any other.

    FastAPI answers such a one with a 400 of its own, which names no field and which nobody counts.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_body(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                if isinstance(error.__cause__, ValueError | RecursionError):
                    raise _invalid(("body",), "json_invalid", "JSON decode error") from error
                raise

        return handle_body


class Registered(BaseModel):
    """Where the heartbeats go, and how often. Seconds."""

    worker_id: str
    websocket_path: str
    heartbeat_interval: float
    heartbeat_timeout: float
    protocol: int


def routes(
    monitor: Monitor,
    telemetry: Telemetry,
    settings: Settings,
    readiness: Readiness,
    write_through: WriteThrough,
) -> APIRouter:
    router = APIRouter(route_class=_BodyOrInvalid)

    @router.post(
        "/register",
        status_code=201,
        response_model=Registered,
        responses={
            200: {"description": "A worker that was known already", "model": Registered},
            422: {"description": "A field is wrong; it is named with what is expected"},
            503: {"description": "No room, or the registry is loading; see Retry-After"},
        },
    )
    async def register(registration: Registration, response: Response) -> Registered:
        if readiness.loading:
            telemetry.registration_failures[RegistrationFailure.LOADING].inc()
            raise RegistryLoading
        facts = settle(registration, settings)
        known = facts.worker_id in monitor.fleet
        try:
            monitor.receive(Register(facts))
        except RegistryFull as error:
            telemetry.registration_failures[RegistrationFailure.FULL].inc()
            detail = f"{error}; MAX_WORKERS sets the limit"
            raise HTTPException(503, detail, headers={"Retry-After": "30"}) from None
        except TooManyGroups as error:
            telemetry.registration_failures[RegistrationFailure.GROUPS].inc()
            raise _wrong("group", f"{error}; MAX_GROUPS sets the limit") from None
        await write_through(facts.worker_id)
        if known:
            response.status_code = 200
        return Registered(
            worker_id=facts.worker_id,
            websocket_path=f"/ws/{quote(facts.worker_id)}",
            heartbeat_interval=facts.interval,
            heartbeat_timeout=facts.timeout,
            protocol=protocol.VERSION,
        )

    return router


def settle(registration: Registration, settings: Settings) -> Facts:
    """Fill in what the worker left open.

    Raises:
        RequestValidationError: its timeout is not above its interval, be it named or handed out.
    """
    interval = registration.heartbeat_interval or settings.heartbeat_interval
    timeout = registration.heartbeat_timeout or max(settings.heartbeat_timeout, 3 * interval)
    if timeout <= interval:
        raise _wrong("heartbeat_timeout", f"Input should be above the interval of {interval:g} s")
    return Facts(
        worker_id=WorkerId(registration.worker_id or derive_id(registration)),
        name=registration.name,
        group=registration.group,
        host=registration.host,
        port=registration.port,
        interval=interval,
        timeout=timeout,
        boot_id=registration.boot_id,
        started_at=registration.started_at,
        version=registration.version,
        metrics_path=registration.metrics_path,
        metrics_scheme=registration.metrics_scheme,
        labels=tuple(registration.labels.items()),
    )


def derive_id(registration: Registration) -> str:
    """A readable id that a restarted worker gets again: a slug of its name and a hash of where it is."""
    identity = "\n".join((registration.group, registration.name, registration.host, str(registration.port)))
    digest = hashlib.blake2s(identity.encode(), digest_size=4).hexdigest()
    slug = re.sub(r"[\W_]+", "-", registration.name.lower()).strip("-")[:48]
    return f"{slug}-{digest}" if slug else digest


def _wrong(field: str, expected: str) -> RequestValidationError:
    return _invalid(("body", field), "value_error", expected)


def _invalid(where: tuple[str, ...], kind: str, expected: str) -> RequestValidationError:
    return RequestValidationError([{"loc": where, "msg": expected, "type": kind}])
