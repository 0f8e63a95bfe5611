"""What a page is asked for in its address, and the addresses that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from exporter.core.model import Status

from . import probe_view, roster

_LONGEST = 200
"""Characters of a text to look for; nobody is called by more."""


def workers(parameters: Mapping[str, str]) -> roster.Wanted:
    """What makes no sense is as if it were not there: nobody is refused a page for a stale bookmark."""
    status = parameters.get("status", "")
    return roster.Wanted(
        _text(parameters),
        Status(status) if status in set(Status) else None,
        parameters.get("group") or None,
        page(parameters),
    )


def probes(parameters: Mapping[str, str]) -> probe_view.Wanted:
    """Likewise."""
    status = parameters.get("status")
    standing = next((one for one in probe_view.STANDINGS if one.value == status), None)
    return probe_view.Wanted(_text(parameters), standing, page(parameters))


def page(parameters: Mapping[str, str]) -> int:
    """From 1."""
    number = parameters.get("page", "")
    return max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 10 else 1


def counts(wanted: roster.Wanted | probe_view.Wanted) -> str:
    """The query that asks for the same in any status, without `?`."""
    return urlencode({name: value for name, value in _given(wanted) if value and name != "status"})


def pages(wanted: roster.Wanted | probe_view.Wanted) -> str:
    """The query that asks for the same, other than the page."""
    return urlencode({name: value for name, value in _given(wanted) if value})


def _given(wanted: roster.Wanted | probe_view.Wanted) -> list[tuple[str, str]]:
    if isinstance(wanted, roster.Wanted):
        return [("q", wanted.text), ("status", wanted.status or ""), ("group", wanted.group or "")]
    return [("q", wanted.text), ("status", wanted.standing.value if wanted.standing else "")]


def _text(parameters: Mapping[str, str]) -> str:
    return parameters.get("q", "").strip()[:_LONGEST]
