"""POST /-/reload, as Prometheus has it: off unless --web.enable-lifecycle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

OFF = "Lifecycle API is not enabled; --web.enable-lifecycle turns it on.\n"


def routes(reload_now: Callable[[], Awaitable[str | None]], *, enabled: bool) -> APIRouter:
    """`reload_now` returns what is wrong with the file, or None."""
    router = APIRouter()

    @router.post("/-/reload", response_class=PlainTextResponse)
    async def reload() -> PlainTextResponse:
        """Read the configuration file again; 500 says what is wrong with it, and nothing has changed."""
        if not enabled:
            return PlainTextResponse(OFF, 403)
        problem = await reload_now()
        if problem is not None:
            return PlainTextResponse(f"failed to reload the configuration:\n{problem}\n", 500)
        return PlainTextResponse("configuration reloaded\n")

    return router
