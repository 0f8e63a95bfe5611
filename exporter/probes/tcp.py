"""TCP: connect, and speak a line or two where that is asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from exporter.core.probing import Result
from exporter.probes.base import Options
from exporter.probes.fields import Expectation, Host, IpFamily, Port, Verbatim, joined
from exporter.probes.tls import TlsOptions


def unescaped(text: str) -> bytes:
    r"""The bytes that a text stands for: \r \n \t \0 \\ \xHH as in Python, the rest as UTF-8."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def _is_escaped_well(text: str) -> str:
    try:
        unescaped(text)
    except UnicodeError:
        raise ValueError("has an escape that is none of \\r \\n \\t \\0 \\\\ \\xHH") from None
    return text


class TcpOptions(Options):
    """A connection, and optionally what is said over it."""

    host: Host = Field(description="Name or address.")
    port: Port
    send: Annotated[Verbatim, AfterValidator(_is_escaped_well)] | None = Field(
        None, description="Text to send, with escapes \\r \\n \\t \\0 \\\\ \\xHH."
    )
    expect: Expectation | None = Field(
        None, description="Text that has to come, with the same escapes, or a /regex/ that has to match."
    )
    tls: TlsOptions | None = Field(None, description="Speak TLS from the start; {} for the usual.")
    ip_family: IpFamily | None = Field(None, description="Use IPv4 or IPv6 only.")

    @property
    def target(self) -> str:
        return joined(self.host, self.port)


async def run(options: TcpOptions, timeout: float) -> Result:
    """Connect once, and look for what is expected."""
    raise NotImplementedError
