from __future__ import annotations

from typing import Any

import pytest

from exporter.probes.tcp import TcpOptions, unescaped, wire_pattern
from tests.exporter.probes.rejections import rejections


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (r"PING\r\n", b"PING\r\n"),
        ("PING\r\n", b"PING\r\n"),
        (r"\x00\t\\n", b"\x00\t\\n"),
        ("grüß €", "grüß €".encode()),
    ],
)
def test_escapes(text: str, sent: bytes) -> None:
    """A text can hold any byte; what is no escape is UTF-8."""
    assert unescaped(text) == sent


def test_blanks_are_kept() -> None:
    """What is sent and expected is not stripped."""
    options = TcpOptions(host="a", port=1, send=" x\r\n", expect=" y ")
    assert (options.send, options.expect) == (" x\r\n", " y ")
    assert options.target == "a:1"
    assert TcpOptions(host="::1", port=1).target == "[::1]:1"


def test_expectations() -> None:
    """A text is looked for as it is, with its escapes; between slashes it is a regular expression."""
    assert wire_pattern(r"a.c\r").search(b"xa.c\r")
    assert not wire_pattern("a.c").search(b"abc")
    assert wire_pattern("/^2\\d\\d .*€/").search("1\n220 €".encode())


ESCAPE = r"has an escape that is none of \r \n \t \0 \\ \xHH"


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"host": "a"}, ["port: Field required"]),
        (
            {"port": 0, "host": "a b"},
            [
                "host: must be a host name or an IP address",
                "port: Input should be greater than or equal to 1",
            ],
        ),
        ({"host": "a", "port": 1, "send": r"\x"}, [f"send: {ESCAPE}"]),
        ({"host": "a", "port": 1, "expect": r"\x"}, [f"expect: {ESCAPE}"]),
        (
            {"host": "a", "port": 1, "expect": "/[/"},
            ["expect: is no regular expression: unterminated character set at position 0"],
        ),
        ({"host": "a", "port": 1, "send": ""}, ["send: String should have at least 1 character"]),
    ],
)
def test_rejected(options: dict[str, Any], problems: list[str]) -> None:
    """What cannot be meant is said with its place."""
    assert rejections("tcp", **options) == problems
