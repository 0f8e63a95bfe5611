"""Keeps passwords out of what people and logs get to see."""

from __future__ import annotations

import re

MASK = "****"

# With a slash in its password it is no URL, but it holds a password all the same: then all up to the last @,
# unless what is before the slash may be a port.
_IN_URL = re.compile(r"(?<=://)([^/@\s:\[]*):(?:[^/\s]*|(?!\d+[/?#])[^\s'\"]{0,256})@")
# What precedes one of these in a name stays as it is, and is not looked at: that would take a time that grows
# with the square of a long text.
_SECRET = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credential|authorization"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|signature)[\w.-]*+"
)
_NAMED = re.compile(rf"(?i){_SECRET}")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
# After a colon only where the name is in quotes, as in what Python and JSON write: else it is a sentence.
_ASSIGNED = re.compile(rf"(?i)({_SECRET})(\s*+=\s*+|['\"]\s*+:\s*+)(b?(?:{_QUOTED})|[^\s&;,'\"}}\])]+)")
_IN_HEADER = re.compile(r"(?i)(authorization\s*+:\s*+\w++[ \t]++)[^\s,;'\"]+")


def masked(text: str) -> str:
    """`text` with the passwords of URLs and the values of what is called a secret replaced.

    In the ways in which they are commonly written: `redis://user:****@host`, `host=db password=****` or
    `?token=****`, `{'password': ****}`, and `Authorization: Bearer ****`.
    """
    text = _IN_HEADER.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1:{MASK}@", text))
    return _ASSIGNED.sub(rf"\1\2{MASK}", text)


def names_secret(name: str) -> bool:
    """Whether what goes by this name is a secret."""
    return _NAMED.search(name) is not None
