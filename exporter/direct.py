"""An extension of ASGI for WebSockets: text frames by a call instead of a message.

A server that can do so (exporter/websocket.py) offers it in the scope; an application that wants it
(exporter/api/heartbeat.py) subscribes after it has accepted. Everything else, and everything where one
of the two does not know the other, goes by messages as ever.
"""

from __future__ import annotations

from collections.abc import Callable

EXTENSION = "heartbeat.direct"
"""In `scope["extensions"]`: `{"subscribe": ...}`, to be called with a `Take`."""

Take = Callable[[str], str | None]
"""Takes in a text frame and returns the one to answer with, if any. What it raises ends the connection."""
