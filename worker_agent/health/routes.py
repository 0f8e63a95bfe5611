"""The health paths of a worker, as load balancers, orchestrators and people ask for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from fastapi import FastAPI, Request, Response

from worker_agent.health.answers import Answer, Endpoint, Requests


class Answering(Protocol):
    """Whoever knows what each path answers: `Answers`, or somebody who asks them."""

    @property
    def requests(self) -> Requests: ...
    async def health(self, names: Sequence[str] | None = None) -> Answer: ...
    async def live(self) -> Answer: ...
    async def ready(self) -> Answer: ...
    async def startup(self) -> Answer: ...


def add_health_routes(app: FastAPI, answers: Answering) -> None:
    """Add `/health`, `/health/live`, `/health/ready` and `/health/startup`.

    `/health?check=name`, with as many `check` as one likes, is about these checks alone.
    """

    async def health(request: Request) -> Response:
        names = request.query_params.getlist("check") or None
        return respond(Endpoint.HEALTH, await answers.health(names))

    async def live() -> Response:
        return respond(Endpoint.LIVE, await answers.live())

    async def ready() -> Response:
        return respond(Endpoint.READY, await answers.ready())

    async def startup() -> Response:
        return respond(Endpoint.STARTUP, await answers.startup())

    def respond(endpoint: Endpoint, answer: Answer) -> Response:
        answers.requests.count(endpoint, answer.status_code)
        return Response(
            # In ASCII: half a surrogate pair, wherever it comes from, has no UTF-8.
            json.dumps(answer.body),
            answer.status_code,
            {"Cache-Control": "no-store"},
            "application/json",
        )

    for path, endpoint in (
        ("/health", health),
        ("/health/live", live),
        ("/health/ready", ready),
        ("/health/startup", startup),
    ):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)
