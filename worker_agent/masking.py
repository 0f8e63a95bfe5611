"""Keeps passwords out of what people and logs get to see."""

from __future__ import annotations

import re

MASK = "****"

_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):[^/\s]*@")
# What precedes one of these in a name stays as it is, and is not looked at: that would take a time that grows
# with the square of a long text.
_SECRET = r"(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|signature)[\w.-]*+"
_NAMED = re.compile(rf"(?i){_SECRET}")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ASSIGNED = re.compile(rf"(?i)({_SECRET})(\s*+=\s*+)({_QUOTED}|[^\s&;,'\"]+)")


def masked(text: str) -> str:
    """`text` with the passwords of URLs and the values of what is called a secret replaced.

    Both ways in which a connection is commonly written: `redis://user:****@host`, and
    `host=db password=****` or `?token=****`.
    """
    return _ASSIGNED.sub(rf"\1\2{MASK}", _IN_URL.sub(rf"\1:{MASK}@", text))


def names_secret(name: str) -> bool:
    """Whether what goes by this name is a secret."""
    return _NAMED.search(name) is not None
