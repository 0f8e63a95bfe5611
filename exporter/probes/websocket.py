"""WebSocket: the handshake, and optionally how the server ends it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from exporter.core.probing import Result
from exporter.probes.web import WebOptions, is_token


class WebSocketExpectations(BaseModel):
    """What the server has to do once the handshake is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    close: int | None = Field(
        None,
        ge=1000,
        le=4999,
        description="Code with which the server closes by itself.",
    )


class WebSocketOptions(WebOptions):
    """A handshake, at ws:// or wss://; `host`, `port` and `path` mean ws://."""

    schemes: ClassVar[tuple[str, ...]] = ("ws", "wss")

    subprotocol: str | None = Field(None, description="Offered to the server, which has to choose it.")
    expect: WebSocketExpectations = Field(
        default_factory=WebSocketExpectations, description="What has to come after the handshake."
    )

    @field_validator("subprotocol")
    @classmethod
    def _is_a_token(cls, name: str | None) -> str | None:
        if name is not None and not is_token(name):
            raise ValueError("must be one name without blanks")
        return name


async def run(options: WebSocketOptions, timeout: float) -> Result:
    """Shake hands once."""
    raise NotImplementedError
