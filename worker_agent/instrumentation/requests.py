"""Counts an application's requests with starlette-prometheus, where it is installed.

That library is optional, so its absence is told once and stops nothing.
"""

from __future__ import annotations

import logging
from functools import cache

from fastapi import FastAPI

logger = logging.getLogger(__name__)


def count_requests(app: FastAPI) -> None:
    """Have the five `starlette_*` families count the requests of `app`."""
    try:
        from worker_agent.instrumentation.middleware import RequestMetrics
    except ModuleNotFoundError as error:
        if error.name != "starlette_prometheus":
            raise
        _say_what_is_missing()
    else:
        app.add_middleware(RequestMetrics)


@cache
def _say_what_is_missing() -> None:
    logger.warning(
        "requests are not counted: starlette-prometheus is not installed; "
        "pip install 'heartbeat-exporter[worker]' adds it (licence: GPL-3.0-or-later)"
    )
