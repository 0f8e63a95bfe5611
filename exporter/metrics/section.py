"""What /metrics shows besides the fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .family import Family

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Section(Generic[T]):
    """A table of the catalogue, and where the things come from that it is rendered for.

    `which` gives the values of `labels` for one of them. `rows` is asked once in a scrape; what it gives is
    taken a few at a time, with turns of the event loop for others in between.
    """

    labels: tuple[str, ...]
    table: tuple[Family[T], ...]
    which: Callable[[T], tuple[str, ...]]
    rows: Callable[[], Iterable[T]]
