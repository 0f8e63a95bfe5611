"""What a client hears whose request cannot be taken: which field, how large at most, when to come again."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.telemetry import RegistrationFailure, Telemetry

LARGEST_BODY = 64 * 1024
"""Bytes. A registration with every field at its longest is a sixth of it."""


class Readiness(Protocol):
    """What the endpoints need to know of the exporter itself."""

    @property
    def loading(self) -> bool:
        """The registry is being read: nobody can be told yet that they are unknown."""

    @property
    def stopping(self) -> bool:
        """The exporter is about to end: sockets that close now say nothing about their workers."""


class RegistryLoading(HTTPException):
    """503: what is asked for may be in the part of the registry that is not read yet."""

    def __init__(self) -> None:
        super().__init__(503, "the registry is loading", headers={"Retry-After": "1"})


def invalid_request(telemetry: Telemetry) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    """The handler for what fails validation: 422 with a `loc`, a `msg` and a `type` for each field.

    The input is not repeated: it may be large, and not every float in it can be said in JSON.
    """

    async def handle(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        if request.url.path.endswith("/register"):
            telemetry.registration_failures[RegistrationFailure.INVALID].inc()
        problems = [{key: problem[key] for key in ("loc", "msg", "type")} for problem in error.errors()]
        return JSONResponse({"detail": problems}, 422)

    return handle


class BodyLimit:
    """Middleware: no request has a body above `LARGEST_BODY`, whether it says so beforehand or not.

    The body is gathered here: an error raised from within its reader would be taken for bad JSON.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._refused = telemetry.registration_failures[RegistrationFailure.INVALID]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        messages: deque[Message] = deque()
        size = 0
        more = True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > LARGEST_BODY:
                self._refused.inc()
                response = JSONResponse({"detail": f"the body must be at most {LARGEST_BODY} bytes"}, 413)
                await response(scope, receive, send)
                return
            more = message.get("more_body", False)

        async def replay() -> Message:
            return messages.popleft() if messages else await receive()

        await self._app(scope, replay, send)
