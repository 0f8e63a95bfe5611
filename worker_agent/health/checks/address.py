"""Where a dependency is, as somebody wrote it into a program or an environment."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

_HINT = "special characters in a user name or password must be percent-encoded"


def checked_url(
    what: str, url: object, schemes: Sequence[str], *, example: str, hostless: Sequence[str] = ()
) -> str:
    """A URL that can be meant. Several hosts may be separated by commas; `hostless` schemes need none.

    Raises:
        TypeError, ValueError: says what is wrong and what is expected. It never shows the URL: a
            password that is not encoded may turn up in any part of it.
    """
    if not isinstance(url, str):
        raise TypeError(f"{what} must be a URL like {example}, not a {type(url).__name__}")
    expected = f"{what} must be a URL like {example}"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"{expected}: it has an odd bracket ({_HINT})") from None
    if parts.scheme not in schemes:
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"{expected}: it does not begin with {known}")
    for host in parts.netloc.rpartition("@")[2].split(","):
        in_brackets, _, rest = host.rpartition("]")
        name, colon, port = rest.partition(":")
        if not (in_brackets or name or parts.scheme in hostless):
            raise ValueError(f"{expected}: it names no host")
        if colon and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
            raise ValueError(f"{expected}: its port is not 1 to 65535 ({_HINT})")
    return url


def checked_port(what: str, port: object) -> int:
    """A port that can be connected to.

    Raises:
        TypeError, ValueError: says what is expected.
    """
    if type(port) is not int:
        raise TypeError(f"{what} must be a number, not {port!r}")
    if not 1 <= port <= 65535:
        raise ValueError(f"{what} must be 1 to 65535, not {port}")
    return port
