"""What is around every page: the program that makes it, where else to go, and how HTML comes about."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from exporter import __version__
from exporter.clock import rfc3339
from exporter.core.model import Wall

from . import words
from .page import Look

HERE = Path(__file__).parent

_RENDERED = 2_000
"""Pieces of HTML that are kept, of a kilobyte or so: a line changes less often than it is looked at."""


class Condition(NamedTuple):
    """How the exporter itself is. `store_problem` is None while the store answers."""

    loading: bool
    warming_up: bool
    store: str
    store_problem: str | None
    pending_writes: int


class Links(NamedTuple):
    """Where else to look, as URLs; empty where it is not known."""

    grafana: str = ""
    alertmanager: str = ""


class Asset(NamedTuple):
    """A file that pages load. `tag` is new with each content, and in its address."""

    content: bytes
    media_type: str
    tag: str


_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def assets() -> Mapping[str, Asset]:
    """By the name of the file."""
    found = {}
    for path in sorted((HERE / "static").iterdir()):
        content = path.read_bytes()
        tag = hashlib.sha256(content).hexdigest()[:16]
        found[path.name] = Asset(content, _MEDIA_TYPES[path.suffix], tag)
    return found


class Frame:
    """Renders. `workers` says whether there is a registry."""

    def __init__(
        self, condition: Callable[[], Condition], links: Links, *, workers: bool, now: Callable[[], Wall]
    ) -> None:
        self.condition = condition
        self.links = links
        self.workers = workers
        self.assets = assets()
        self._now = now
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["segment"] = segment
        self._environment = environment
        self._rendered = lru_cache(_RENDERED)(self._render)

    def now(self) -> Wall:
        return self._now()

    def region(self, macro: str, *values: Any) -> str:
        """A macro of regions.html. Equal values are rendered once, so they have to be hashable."""
        return self._rendered(macro, *values)

    def _render(self, macro: str, *values: Any) -> str:
        return str(getattr(self._environment.get_template("regions.html").module, macro)(*values)).strip()

    def about(self) -> str:
        """The region that says how the exporter and its store are."""
        return self.region("about", self.condition())

    def document(self, template: str, look: Look, root: str, **values: Any) -> str:
        now = self._now()
        regions = {name: Markup(tell_time(html, look.beats, now)) for name, html in look.regions.items()}
        return self._environment.get_template(template).render(
            regions=regions,
            root=root,
            now=now,
            made_at=words.instant(now),
            version=__version__,
            links=self.links,
            workers=self.workers,
            assets=self.assets,
            **values,
        )


def segment(text: str) -> str:
    """A name as one step of a path."""
    return quote(text, safe="")


_INSTANT = re.compile(r'<time data-(ago|for) datetime="([^"]+)">([^<]+)</time>')
_BEAT = re.compile(r'<time data-beat="([^"]+)"></time>')


def tell_time(html: str, beats: Mapping[str, float], now: Wall) -> str:
    """Say of all instants how long ago they are, as the script goes on doing.

    In regions they stand as they are, so that these do not change by themselves. Nothing that anybody is
    called can look like such an element: it is escaped.
    """
    at_by_id = {str(escape(worker_id)): at for worker_id, at in beats.items()}

    def instant(found: re.Match[str]) -> str:
        kind, iso, text = found.groups()
        passed = words.brief(now - datetime.fromisoformat(iso).timestamp())
        said = f"{passed} ago" if kind == "ago" else passed
        return f'<time data-{kind} datetime="{iso}" title="{text}">{said}</time>'

    def beat(found: re.Match[str]) -> str:
        at = Wall(at_by_id[found[1]])
        return (
            f'<time data-beat="{found[1]}" datetime="{rfc3339(at)}" title="{words.instant(at)}">'
            f"{words.brief(now - at)} ago</time>"
        )

    return _BEAT.sub(beat, _INSTANT.sub(instant, html))
