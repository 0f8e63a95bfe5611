"""Types of options that several kinds of probes have in common, each with its own words for what is wrong."""

from __future__ import annotations

import os
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo

_LABEL = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")


def _existing_file(path: Path, info: ValidationInfo) -> Path:
    directory = (info.context or {}).get("directory")
    resolved = path.expanduser() if directory is None else Path(directory) / path.expanduser()
    if not resolved.is_file():
        raise ValueError(f"there is no file {resolved}")
    if not os.access(resolved, os.R_OK):
        raise ValueError(f"{resolved} may not be read by this user")
    return resolved


ConfigFile = Annotated[Path, AfterValidator(_existing_file)]
"""A file that exists; relative to the directory of the configuration."""


def is_address(host: str, family: int | None = None) -> bool:
    """Whether a host is an IP address in digits (of that version), and so needs no lookup."""
    if family != 6 and host[-1:].isdigit():
        try:
            socket.inet_pton(socket.AF_INET, host)
        except OSError:
            pass
        else:
            return True
    if family != 4 and ":" in host:
        try:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        except OSError:
            return False
        return True
    return False


def checked_host(host: str) -> str:
    """A name or an address, without brackets. Raises ValueError."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if is_address(bare):
        return bare
    labels = bare.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError("must be a host name or an IP address")
    try:
        bare.encode("idna")
    except UnicodeError:
        raise ValueError("must be a host name or an IP address") from None
    return bare


Host = Annotated[str, AfterValidator(checked_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
IpFamily = Literal[4, 6]


def joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_regex(text: str) -> bool:
    return len(text) > 2 and text.startswith("/") and text.endswith("/")


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    """What an expectation looks for: `/regex/` is a regular expression, all else is meant literally."""
    if is_regex(text):
        return re.compile(text[1:-1], re.MULTILINE)
    return re.compile(re.escape(text))


def _compiles(text: str) -> str:
    try:
        pattern(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


# Blanks at the ends are part of what is sent and expected, unlike elsewhere in a configuration.
Verbatim = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1)]
Expectation = Annotated[Verbatim, AfterValidator(_compiles)]
"""A text that has to be contained, or a `/regex/` that has to match somewhere."""


def _status_or_range(value: object) -> object:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if type(value) is int and 100 <= value <= 599:
        return value
    if isinstance(value, str) and re.fullmatch(r"[1-5][0-9]{2}-[1-5][0-9]{2}", value):
        first, _, last = value.partition("-")
        if first <= last:
            return value
    raise ValueError('must be a status from 100 to 599, or a range of them such as "300-399"')


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Statuses = Annotated[
    tuple[Annotated[int | str, BeforeValidator(_status_or_range)], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
]
"""Statuses and ranges of them; one may come without a list."""


@lru_cache(maxsize=1024)
def statuses(expected: tuple[int | str, ...]) -> frozenset[int]:
    """All that these statuses and ranges allow."""
    allowed: set[int] = set()
    for each in expected:
        first, _, last = str(each).partition("-")
        allowed.update(range(int(first), int(last or first) + 1))
    return frozenset(allowed)
