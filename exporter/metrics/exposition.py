"""The answer to a scrape: which format it is in, and its bytes."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

_PIECE = 256 * 1024
_GZIP = 31  # zlib's word for: largest window, gzip header and trailer


class Format(NamedTuple):
    content_type: str
    openmetrics: bool
    encode: Callable[[CollectorRegistry], bytes]
    """The client library's encoder; in OpenMetrics it ends with the line that ends the whole."""


def negotiate(accept: str) -> Format:
    """The format for an Accept header: the first known one in it, else text 0.0.4."""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # how the library takes a version that is not a number
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    openmetrics = content_type.startswith("application/openmetrics-text")
    if openmetrics:
        # The library promises whatever later version was asked for; what we write is 1.0.0.
        content_type = re.sub("version=[^;]*", "version=1.0.0", content_type)
    return Format(content_type, openmetrics, encode)


class Exposition:
    """A rendered answer, shared by the scrapes that came while it was made.

    It stays in pieces, because joining, sending or compressing some 20 MB in one go would hold the
    event loop for many milliseconds.
    """

    def __init__(self, content_type: str, pieces: Sequence[bytes]) -> None:
        self.content_type = content_type
        self.pieces = pieces
        self._compressing: asyncio.Future[bytes] | None = None

    async def gzipped(self) -> bytes:
        """The whole, compressed in a thread, and once for all who ask."""
        if self._compressing is None:
            self._compressing = asyncio.ensure_future(asyncio.to_thread(_gzip, self.pieces))
        return await asyncio.shield(self._compressing)


async def in_pieces(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Join chunks to pieces worth a system call each, leaving the event loop to others in between."""
    gathered: list[bytes] = []
    size = 0
    for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
            await asyncio.sleep(0)
    yield b"".join(gathered)


def _gzip(pieces: Sequence[bytes]) -> bytes:
    # Level 1: the text repeats itself so much that more effort buys little. zlib lets go of the
    # interpreter while it works.
    compressor = zlib.compressobj(level=1, wbits=_GZIP)
    return b"".join([*map(compressor.compress, pieces), compressor.flush()])
