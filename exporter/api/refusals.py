"""What a client hears whose request cannot be taken: which field, what was expected, how large at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.telemetry import RegistrationFailure, Telemetry

LARGEST_BODY = 64 * 1024
"""Bytes. A registration with every field at its longest is a sixth of it."""


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
    """Middleware: no request has a body above `LARGEST_BODY`, whether it says so beforehand or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise _TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except _TooLarge:
            response = JSONResponse({"detail": f"the body must be at most {LARGEST_BODY} bytes"}, 413)
            await response(scope, receive, send)


class _TooLarge(Exception):
    pass
