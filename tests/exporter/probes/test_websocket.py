from __future__ import annotations

from typing import Any

import pytest

from exporter.probes.websocket import WebSocketOptions
from tests.exporter.probes.rejections import rejections


def test_addresses() -> None:
    """Both schemes are taken; a host without a URL means the plain one."""
    assert WebSocketOptions(url="wss://live/x?token=sesame").target == "wss://live/x"
    assert WebSocketOptions(host="live", path="x").target == "ws://live:80/x"
    assert WebSocketOptions(url="wss://live/").line("wss://live/").port == 443


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        (
            {"url": "https://live/"},
            ["url: must start with ws:// or wss://; for https:// say type: https"],
        ),
        ({"host": "live", "subprotocol": "a b"}, ["subprotocol: must be one name without blanks"]),
        (
            {"host": "live", "expect": {"close": 999}},
            ["expect.close: Input should be greater than or equal to 1000"],
        ),
    ],
)
def test_rejected(options: dict[str, Any], problems: list[str]) -> None:
    """What cannot be meant is said with its place."""
    assert rejections("websocket", **options) == problems
