"""What a page is asked for in its address."""

from __future__ import annotations

import pytest

from exporter.core.model import Status
from exporter.web import probe_view, query, roster


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, roster.Wanted()),
        ({"q": "", "status": "", "group": "", "page": ""}, roster.Wanted()),
        (
            {"q": " shop ", "status": "alive", "group": "a b", "page": "3"},
            roster.Wanted("shop", Status.ALIVE, "a b", 3),
        ),
        ({"status": "dead", "page": "-1"}, roster.Wanted()),
        ({"page": "0"}, roster.Wanted()),
        ({"page": "²"}, roster.Wanted()),
        ({"page": "9" * 5000}, roster.Wanted()),
        ({"q": "x" * 5000}, roster.Wanted("x" * 200)),
    ],
)
def test_workers(given: dict[str, str], wanted: roster.Wanted) -> None:
    """A form sends empty fields along, and what makes no sense is as if it were not there."""
    assert query.workers(given) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, probe_view.Wanted()),
        ({"q": "db", "status": "down", "page": "2"}, probe_view.Wanted("db", probe_view.DOWN, 2)),
        ({"status": "sideways"}, probe_view.Wanted()),
    ],
)
def test_probes(given: dict[str, str], wanted: probe_view.Wanted) -> None:
    """Likewise."""
    assert query.probes(given) == wanted


def test_addresses() -> None:
    """Links repeat what is asked for, other than what they change."""
    wanted = roster.Wanted('a&b="', Status.ALIVE, "ü", 7)
    assert query.counts(wanted) == "q=a%26b%3D%22&group=%C3%BC"
    assert query.pages(wanted) == "q=a%26b%3D%22&status=alive&group=%C3%BC"
    assert query.pages(probe_view.Wanted("db", probe_view.DOWN, 2)) == "q=db&status=down"
    assert query.counts(probe_view.Wanted()) == ""
