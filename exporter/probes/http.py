"""HTTP and HTTPS: ask, and judge the answer."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from aiohttp import (
    BaseConnector,
    ClientHandlerType,
    ClientPayloadError,
    ClientRequest,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    RedirectClientError,
    ServerDisconnectedError,
    TooManyRedirects,
)
from aiohttp.client_proto import ResponseHandler
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from exporter.core.probing import Failure, Phase, Result
from exporter.probes import tls
from exporter.probes.base import ProbeFailed
from exporter.probes.course import Course, conduct
from exporter.probes.dial import dial
from exporter.probes.fields import Expectation, Statuses, Verbatim, pattern, statuses
from exporter.probes.web import WebOptions, shown

_ENDLESS = ClientTimeout(total=None)  # the course has the timeout
_SHOWN = 80
"""Characters of a body that are shown to people."""
_LONGEST = 200
"""Characters of an explanation that quotes the server."""

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
    body: Verbatim | None = Field(None, max_length=262_144, description="Body of the request.")
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

    async def steps(course: Course) -> None:
        await _ask(course, options)

    return await conduct(timeout, steps)


async def _ask(course: Course, options: HttpOptions) -> None:
    headers = options.request_headers()
    session = ClientSession(
        connector=_Dialler(course, options),
        cookie_jar=DummyCookieJar(),
        timeout=_ENDLESS,
        skip_auto_headers=("Accept-Encoding",),
        middlewares=(_once,),
    )
    response: ClientResponse | None = None
    try:
        response = await session.request(
            options.method,
            options.address,
            data=options.body,
            headers=headers,
            allow_redirects=options.redirects > 0,
            max_redirects=options.redirects + 1,  # aiohttp counts the one too many
        )
        course.enter(Phase.TRANSFER)
        _judge_status(course, options, response, 0)
        await _judge_body(course, options, response)
    except TooManyRedirects as error:
        _judge_status(course, options, error.history[-1], options.redirects)
    except RedirectClientError as error:
        raise ProbeFailed(Failure.PROTOCOL, "redirects to what is no http:// or https:// URL") from error
    except ClientPayloadError as error:
        raise ProbeFailed(
            Failure.PROTOCOL, f"the answer broke off: {_said(error.__cause__ or error)}"
        ) from error
    finally:
        if response is not None:
            response.close()
        session.detach()  # its close() would wait for peers


class _Dialler(BaseConnector):
    """Gives aiohttp connections that the course has timed, one for each request, and knows no pool."""

    def __init__(self, course: Course, options: HttpOptions) -> None:
        super().__init__(force_close=True, limit=0)
        self._course = course
        self._options = options
        self._first: object = None

    async def _create_connection(
        self, req: ClientRequest, traces: object, timeout: object
    ) -> ResponseHandler:
        origin = req.url.origin()
        self._first = self._first or origin
        if origin != self._first:
            # A Host that was configured is for the server that was: aiohttp would tell it to others as well.
            req.headers["Host"] = req.url.host_port_subcomponent or ""
        protocol = self._factory()
        await dial(self._course, self._options.line(str(req.url)), protocol)
        self._course.enter(Phase.PROCESSING)
        return protocol


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Say what went wrong with one request, before aiohttp tries it a second time behind our back."""
    try:
        return await handler(request)
    except ClientResponseError as error:
        detail = f"the answer is not HTTP: {_said(error)}"
        raise ProbeFailed(Failure.PROTOCOL, detail) from error
    except OSError as error:
        raise _broken(error) from error
    except ServerDisconnectedError as error:
        raise _broken(error) from error


def _broken(error: Exception) -> ProbeFailed:
    if reason := tls.refused_later(error):
        return ProbeFailed(Failure.TLS, reason)
    return ProbeFailed(Failure.PROTOCOL, "the server closed the connection before it had answered")


def _judge_status(course: Course, options: HttpOptions, response: ClientResponse, followed: int) -> None:
    course.http_status = response.status
    if response.status in statuses(options.expect.status):
        return
    elsewhere = response.headers.get("Location") if 300 <= response.status < 400 else None
    to = "" if elsewhere is None else f", a redirect to {shown(elsewhere)}"
    after = "" if not followed else f", after {followed} others" if followed > 1 else ", after another"
    expected = " or ".join(map(str, options.expect.status))
    answer = f"{response.status} {response.reason or ''}".rstrip()
    raise ProbeFailed(Failure.STATUS, f"answered {answer}{to}{after}; expected {expected}")


async def _judge_body(course: Course, options: HttpOptions, response: ClientResponse) -> None:
    received = bytearray()
    while len(received) < options.max_body and (chunk := await response.content.readany()):
        received += chunk
    wanted, unwanted = options.expect.body, options.expect.not_body
    if wanted is None and unwanted is None:
        return
    text = _decoded(received[: options.max_body], response)
    if wanted is not None and not pattern(wanted).search(text):
        raise ProbeFailed(Failure.BODY, f"the body has no {wanted!r}; it begins {text[:_SHOWN]!r}")
    if unwanted is not None and (found := pattern(unwanted).search(text)):
        raise ProbeFailed(Failure.BODY, f"the body has {found[0][:_SHOWN]!r}, which it must not")


def _decoded(body: bytearray, response: ClientResponse) -> str:
    try:
        return body.decode(response.charset or "utf-8", errors="replace")
    except LookupError:  # a charset that nobody knows
        return body.decode(errors="replace")


def _said(error: BaseException | None) -> str:
    """What aiohttp has to say of an answer, without its numbers and drawings."""
    lines = str(getattr(error, "message", "") or error).strip().splitlines()
    return " ".join(line.strip() for line in lines if line.strip(" ^"))[:_LONGEST].rstrip(".:")
