from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.probes.dial import Line
from exporter.probes.http import HttpOptions, HttpsOptions
from exporter.probes.tls import TlsOptions
from tests.exporter.probes.rejections import rejections


@pytest.mark.parametrize(
    ("options", "address", "target"),
    [
        ({"url": "http://web/x?token=sesame"}, "http://web/x?token=sesame", "http://web/x"),
        ({"host": "web", "port": 8080, "path": "app?x=1"}, "http://web:8080/app?x=1", "http://web:8080/app"),
        ({"host": "[::1]"}, "http://[::1]:80/", "http://[::1]:80/"),
        ({"host": " 10.0.0.1 "}, "http://10.0.0.1:80/", "http://10.0.0.1:80/"),
    ],
)
def test_addresses(options: dict[str, Any], address: str, target: str) -> None:
    """A URL may be given in parts; what people see of it has no query."""
    made = HttpOptions.model_validate(options)
    assert (made.address, made.target) == (address, target)


def test_a_name_for_one_server() -> None:
    """The server_name is for the server that was configured, not for others that it redirects to."""
    options = HttpsOptions(url="https://10.0.0.1/", tls=TlsOptions(server_name="web"))
    assert options.line("https://10.0.0.1:443/next").name == "web"
    assert options.line("https://other/").name == "other"
    assert options.line("http://other/") == Line("other", 80, alpn=("http/1.1",))


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({}, ["needs either a url, or a host with port and path"]),
        ({"url": "http://a/", "host": "b"}, ["needs either a url, or a host with port and path"]),
        ({"url": "http://a/", "port": 80}, ["port and path belong to host; with a url they are part of it"]),
        ({"url": "https://a/"}, ["url: must start with http://; for https:// say type: https"]),
        ({"url": "wss://a/"}, ["url: must start with http://; for wss:// say type: websocket"]),
        ({"url": "ftp://a/"}, ["url: must start with http://"]),
        ({"url": "a/health"}, ["url: must start with http://"]),
        ({"url": "http://a:99999/"}, ["url: must be http:// with a host and a port up to 65535"]),
        ({"url": "http://:80/"}, ["url: must be http:// with a host and a port from 1 to 65535"]),
        ({"url": "http://a b/"}, ["url: must have no blanks and no fragment (#...)"]),
        ({"url": "http://a/#b"}, ["url: must have no blanks and no fragment (#...)"]),
        ({"url": "http://-a-/"}, ["url: must be a host name or an IP address"]),
        (
            {"url": "http://ali:sesame@a/"},
            ["url: must not hold a user name or password: there are username and password_file"],
        ),
        ({"host": "http://a"}, ["host: must be a host name or an IP address"]),
        ({"host": "1.2.3"}, ["host: must be a host name or an IP address"]),
        ({"host": "1::2::3"}, ["host: must be a host name or an IP address"]),
        ({"host": "a", "path": "/x y"}, ["path: must be a path, with blanks and # written as %XX"]),
        ({"host": "a", "headers": {"X Y": "z"}}, ["headers: 'X Y' is no name of a header"]),
        (
            {"host": "a", "headers": {"X": "ses\x00ame"}},
            ["headers: the value of X holds characters that a header cannot have"],
        ),
        ({"host": "a", "username": "ali"}, ["username and password_file go together"]),
        ({"host": "a", "ip_family": 5}, ["ip_family: Input should be 4 or 6"]),
    ],
)
def test_rejected(options: dict[str, Any], problems: list[str]) -> None:
    """What cannot be meant is said, without the secrets in it."""
    assert rejections("http", **options) == problems


def test_one_authorization(tmp_path: Path) -> None:
    """A request can have one Authorization, from one place."""
    secret = tmp_path / "secret"
    secret.write_text("sesame")
    basic = {"username": "ali", "password_file": secret}
    assert rejections("http", host="a", **basic, bearer_token_file=secret) == [
        "has a bearer_token_file and a username: one Authorization is possible"
    ]
    assert rejections("http", host="a", **basic, headers={"authorization": "x"}) == [
        "has an Authorization header already"
    ]


def test_files(tmp_path: Path) -> None:
    """Files are found beside the configuration, and have to be there."""
    (tmp_path / "token").write_text("sesame")
    made = HttpOptions.model_validate(
        {"host": "a", "bearer_token_file": "token"}, context={"directory": tmp_path}
    )
    assert made.request_headers()["Authorization"] == "Bearer sesame"
    assert rejections("http", tmp_path, host="a", bearer_token_file="lost") == [
        f"bearer_token_file: there is no file {tmp_path / 'lost'}"
    ]
