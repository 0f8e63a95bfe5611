"""The format of an answer, and its bytes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry, Counter

from exporter.metrics import exposition
from exporter.metrics.exposition import Exposition, in_pieces, negotiate

TEXT_0 = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
TEXT_1_UTF8 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_UNDERSCORES = f"{OPENMETRICS}; escaping=underscores"
OPENMETRICS_UTF8 = f"{OPENMETRICS}; escaping=allow-utf-8"

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT_0),
        ("*/*", TEXT_0),
        (BROWSER, TEXT_0),
        ("text/plain", TEXT_0),
        ("text/plain; version=0.0.4", TEXT_0),
        ("text/plain; version=1.0.0", TEXT_1),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", TEXT_1_UTF8),
        ("text/plain; version=latest", TEXT_0),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT_0),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS_UNDERSCORES),
        ("application/openmetrics-text; version=2.0.0", OPENMETRICS_UNDERSCORES),
        ("application/vnd.google.protobuf; encoding=delimited", TEXT_0),
        (PROMETHEUS_2, OPENMETRICS_UNDERSCORES),
        (PROMETHEUS_3, OPENMETRICS_UTF8),
    ],
)
def test_promises_the_first_format_in_the_header_that_it_can_write(accept: str, content_type: str) -> None:
    """OpenMetrics is 1.0.0 whatever later version was asked for; nothing known means text 0.0.4."""
    form = negotiate(accept)
    assert (form.content_type, form.openmetrics) == (content_type, content_type.startswith("application/"))


@pytest.mark.parametrize("accept", ["", "text/plain; version=1.0.0", "application/openmetrics-text"])
def test_the_encoder_is_the_one_of_the_format(accept: str) -> None:
    """The exporter's own counters are written by the client library, in the format that was promised."""
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", registry=registry)
    form = negotiate(accept)
    text = form.encode(registry).decode()
    assert (f"# TYPE {'jobs' if form.openmetrics else 'jobs_total'} counter" in text) is True
    assert text.endswith("# EOF\n") is form.openmetrics


async def test_pieces_are_joined_in_order_and_worth_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are gathered until there is enough of them, and nothing is lost at the end."""
    monkeypatch.setattr(exposition, "_PIECE", 10)
    chunks = [b"one ", b"two ", b"three ", b"", b"four ", b"a chunk that is a piece by itself ", b"end"]
    assert [piece async for piece in in_pieces(chunks)] == [
        b"one two three ",
        b"four a chunk that is a piece by itself ",
        b"end",
    ]


async def test_is_compressed_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scrapes that share an answer share its compressed form too."""
    calls = 0
    compress: Callable[[Sequence[bytes]], bytes] = exposition._gzip

    def counted(pieces: Sequence[bytes]) -> bytes:
        nonlocal calls
        calls += 1
        return compress(pieces)

    monkeypatch.setattr(exposition, "_gzip", counted)
    answer = Exposition(TEXT_0, [b"up 1\n" * 1000, b"", b"end 1\n"])
    first, second = await asyncio.gather(answer.gzipped(), answer.gzipped())
    assert first is second
    assert calls == 1
    assert gzip.decompress(first) == b"up 1\n" * 1000 + b"end 1\n"
    assert len(first) < 200
