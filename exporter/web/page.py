"""What a page is to whoever delivers it: regions of HTML, and what in them changes by the second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Look(NamedTuple):
    """A page at one instant.

    `regions` is HTML by the id of the element whose content it is. Nothing in it depends on the passing
    of time alone, so that equal HTML means that there is nothing new to send. `beats` is the last
    heartbeat of each worker shown, in Unix seconds: it changes with every heartbeat, and so has a place
    of its own.
    """

    regions: Mapping[str, str]
    beats: Mapping[str, float]


class Page(Protocol):
    """One address, its query included. Made for each request; holds nothing of the fleet."""

    async def look(self) -> Look | None:
        """How it looks now; None when what it is about is not there (any more).

        Gives way to others within 20 ms, however large the fleet is.
        """
        ...

    def document(self, look: Look) -> str:
        """The whole HTML document for a look."""
        ...
