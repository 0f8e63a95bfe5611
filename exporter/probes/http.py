"""HTTP and HTTPS: ask, and judge the answer."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from exporter.core.probing import Result
from exporter.probes.fields import Expectation, Statuses, Verbatim
from exporter.probes.web import WebOptions

FOLLOWED = 10
"""How many redirects are followed when nobody says how many."""


def _redirects(value: object) -> object:
    named = {"none": 0, "follow": FOLLOWED}
    if isinstance(value, str) and value in named:
        return named[value]
    if type(value) is int and 0 <= value <= 50:
        return value
    if isinstance(value, str) and value.isdecimal() and int(value) <= 50:
        return int(value)
    raise ValueError("must be none, follow, or how many are followed, up to 50")


Redirects = Annotated[
    int,
    BeforeValidator(_redirects),
    WithJsonSchema(
        {"anyOf": [{"enum": ["none", "follow"]}, {"type": "integer", "minimum": 0, "maximum": 50}]}
    ),
]


class HttpExpectations(BaseModel):
    """What an answer has to be like."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    status: Statuses = Field(("200-299",), description='Statuses, and ranges of them such as "300-399".')
    body: Expectation | None = Field(None, description="Text in the body, or a /regex/ that matches it.")
    not_body: Expectation | None = Field(None, description="Text or /regex/ that is not in the body.")


class HttpOptions(WebOptions):
    """A request, and what its answer has to be like."""

    schemes: ClassVar[tuple[str, ...]] = ("http",)

    method: str = Field("GET", description="Of the request.")
    body: Verbatim | None = Field(None, description="Body of the request.")
    expect: HttpExpectations = Field(
        default_factory=HttpExpectations, description="How the answer has to be."
    )
    redirects: Redirects = Field(
        FOLLOWED,
        description="none, follow (10), or how many; a redirect beyond that is judged as the answer.",
    )
    max_body: int = Field(
        1_048_576,
        ge=0,
        le=64 * 1_048_576,
        description="Bytes of the body that are read and searched.",
    )

    @field_validator("method")
    @classmethod
    def _is_a_method(cls, method: str) -> str:
        if not re.fullmatch(r"[A-Z][A-Z-]{0,31}", method.upper()):
            raise ValueError("must be a method like GET")
        return method.upper()

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.method == "HEAD" and (self.expect.body or self.expect.not_body):
            raise ValueError("expects a body, which an answer to HEAD does not have")
        return self


class HttpsOptions(HttpOptions):
    """The same over TLS."""

    schemes: ClassVar[tuple[str, ...]] = ("https",)


async def run(options: HttpOptions, timeout: float) -> Result:
    """Ask once and judge the answer; both kinds, HTTP and HTTPS."""
    raise NotImplementedError
