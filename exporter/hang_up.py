"""An extension of ASGI: to end a connection without waiting for a client that does not read.

A server closes a connection when all that was written to it is sent, which may be never; an application
cannot say that it does not mind. A server that can hang up (exporter/http.py) offers it in the scope.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Scope

EXTENSION = "heartbeat.hang_up"
"""In `scope["extensions"]`: a `HangUp`."""

HangUp = Callable[[], None]
"""What is written and not sent yet is lost. May be called at any time, and more than once."""


def offered(scope: Scope) -> HangUp | None:
    """How to hang up on a request; None where the server has no way."""
    hang_up: HangUp | None = scope.get("extensions", {}).get(EXTENSION)
    return hang_up
