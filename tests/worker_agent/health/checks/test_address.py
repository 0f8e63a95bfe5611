"""Which addresses can be meant, and what is said about others."""

from __future__ import annotations

import pytest

from worker_agent.health.checks.address import checked_port, checked_url

SCHEMES = ("db", "dbs")
EXAMPLE = "db://user:password@host:1/x"
HINT = "(special characters in a user name or password must be percent-encoded)"


@pytest.mark.parametrize(
    "url",
    [
        "db://host",
        "dbs://host:65535/x?y=z",
        "db://user:pa%2Fss@host:1",
        "db://[::1]:1",
        "db://[::1]",
        "db://one:1,two:2/x",
        "db://user:p@ss@host:1",
    ],
)
def test_a_url_that_can_be_meant(url: str) -> None:
    """It comes back as it was."""
    assert checked_url("the url", url, SCHEMES, example=EXAMPLE) == url


def test_a_url_without_a_host() -> None:
    """Some schemes need no host: a socket in a file, or what the environment says."""
    assert checked_url("the url", "db:///x", SCHEMES, example=EXAMPLE, hostless=("db",)) == "db:///x"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "it does not begin with db:// or dbs://"),
        ("host:1", "it does not begin with db:// or dbs://"),
        ("http://host", "it does not begin with db:// or dbs://"),
        ("db://", "it names no host"),
        ("db:///x", "it names no host"),
        ("db://user:secret@", "it names no host"),
        ("db://user:secret@:1", "it names no host"),
        ("db://one,,two", "it names no host"),
        ("db://host:0", f"its port is not 1 to 65535 {HINT}"),
        ("db://host:65536", f"its port is not 1 to 65535 {HINT}"),
        ("db://host:" + "9" * 5000, f"its port is not 1 to 65535 {HINT}"),
        ("db://host:", f"its port is not 1 to 65535 {HINT}"),
        ("db://host:one", f"its port is not 1 to 65535 {HINT}"),
        ("db://one:1,two:x", f"its port is not 1 to 65535 {HINT}"),
        ("db://user:sec/ret@host:1", f"its port is not 1 to 65535 {HINT}"),
        ("db://user:sec#ret@host:1", f"its port is not 1 to 65535 {HINT}"),
        ("db://user:sec?ret@host:1", f"its port is not 1 to 65535 {HINT}"),
        ("db://user:sec[ret@host:1", f"it has an odd bracket {HINT}"),
    ],
)
def test_a_url_that_cannot_be_meant(url: str, problem: str) -> None:
    """The error says what is expected and what is wrong, and shows nothing of the URL."""
    with pytest.raises(ValueError, match="must be") as refused:
        checked_url("the url", url, SCHEMES, example=EXAMPLE)
    assert str(refused.value) == f"the url must be a URL like {EXAMPLE}: {problem}"


@pytest.mark.parametrize("url", [None, 5, b"db://host"])
def test_no_text(url: object) -> None:
    """What is no text is an error of another type."""
    with pytest.raises(TypeError) as refused:
        checked_url("the url", url, SCHEMES, example=EXAMPLE)
    assert str(refused.value) == f"the url must be a URL like {EXAMPLE}, not a {type(url).__name__}"


def test_ports() -> None:
    """A port is a whole number that a connection can be made to."""
    assert [checked_port("the port", port) for port in (1, 65535)] == [1, 65535]


@pytest.mark.parametrize(
    ("port", "error", "text"),
    [
        (0, ValueError, "the port must be 1 to 65535, not 0"),
        (65536, ValueError, "the port must be 1 to 65535, not 65536"),
        ("80", TypeError, "the port must be a number, not '80'"),
        (True, TypeError, "the port must be a number, not True"),
    ],
)
def test_no_port(port: object, error: type[Exception], text: str) -> None:
    """Any other is refused."""
    with pytest.raises(error) as refused:
        checked_port("the port", port)
    assert str(refused.value) == text
