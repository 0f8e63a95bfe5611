"""The kinds of probes: the table in which a new one is a row."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.probes import http, tcp, websocket
from exporter.probes.base import Variety

VARIETIES: Mapping[str, Variety] = {
    "http": Variety(http.HttpOptions, http.run),
    "https": Variety(http.HttpsOptions, http.run),
    "tcp": Variety(tcp.TcpOptions, tcp.run),
    "websocket": Variety(websocket.WebSocketOptions, websocket.run),
}
