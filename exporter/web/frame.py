"""What is around every page, and how HTML comes about."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
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
from .assets import Asset
from .page import Look

_TEMPLATES = Path(__file__).parent / "templates"

DOCUMENTATION = "https://github.com/heartbeat-exporter/heartbeat-exporter/tree/main/docs"

_LINES = 2_000
"""Lines of tables that are kept as HTML, a kilobyte each: they change less often than they are looked at."""


class Condition(NamedTuple):
    """How the exporter itself is. `store_problem` is empty while the store answers."""

    loading: bool
    warming_up: bool
    store_problem: str


class Links(NamedTuple):
    """Where else to look, as URLs without a slash at the end; empty where there is none."""

    grafana: str = ""
    alertmanager: str = ""


class Frame:
    """Renders. `workers` says whether there is a registry, and so pages about it."""

    def __init__(
        self,
        condition: Callable[[], Condition],
        links: Links,
        assets: Mapping[str, Asset],
        *,
        workers: bool,
        now: Callable[[], Wall],
    ) -> None:
        self.condition = condition
        self.links = links
        self.now = now
        self._around = {
            "links": links,
            "documentation": DOCUMENTATION,
            "assets": assets,
            "workers": workers,
            "version": __version__,
        }
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["quoted"] = quoted
        self._lines = lru_cache(_LINES)(self.region)

    def region(self, macro: str, *values: Any) -> str:
        """A macro of regions.html."""
        module = self._environment.get_template("regions.html").module
        return str(getattr(module, macro)(*values)).strip()

    def line(self, macro: str, line: Hashable, root: str) -> str:
        """The same for a line of a table: equal ones are rendered once."""
        return self._lines(macro, line, root)

    def document(self, template: str, look: Look, root: str, **values: Any) -> str:
        """A whole page; `root` is the relative way from it to `/`."""
        now = self.now()
        told = told_at(now, look.beats)
        return self._environment.get_template(template).render(
            regions={name: Markup(told(html)) for name, html in look.regions.items()},
            root=root,
            now=now,
            made_at=words.instant(now),
            **self._around,
            **values,
        )


def quoted(text: str) -> str:
    """A name in a URL.

    Slashes stay: a proxy that puts us under a path may decode them, and then a browser and the page would
    count differently how many steps it is to the root.
    """
    return quote(text.encode(errors="replace"), safe="/")


_INSTANT = re.compile(r'<time data-(ago|for) datetime="([^"]+)">([^<]+)</time>')
_BEAT = re.compile(r'<time data-beat="([^"]+)"></time>')


def told_at(now: Wall, beats: Mapping[str, float]) -> Callable[[str], str]:
    """What writes into HTML how long ago its instants are, as the script goes on doing.

    In regions they stand as they are, so that these do not change by themselves. Nothing that anybody is
    called can look like such an element: it is escaped.
    """
    at_by_id = {str(escape(worker_id)): Wall(at) for worker_id, at in beats.items()}

    def instant(found: re.Match[str]) -> str:
        kind, iso, text = found.groups()
        passed = words.brief(now - datetime.fromisoformat(iso).timestamp())
        said = f"{passed} ago" if kind == "ago" else passed
        return f'<time data-{kind} datetime="{iso}" title="{text}">{said}</time>'

    def beat(found: re.Match[str]) -> str:
        at = at_by_id[found[1]]
        return (
            f'<time data-beat="{found[1]}" datetime="{rfc3339(at)}" title="{words.instant(at)}">'
            f"{words.brief(now - at)} ago</time>"
        )

    return lambda html: _BEAT.sub(beat, _INSTANT.sub(instant, html))
