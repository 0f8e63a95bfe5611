"""GET /: what this is and where everything is."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from exporter import __version__

Link = tuple[str, str, str]
"""Path, name, and what is there."""

_METRICS: tuple[Link, ...] = (("metrics", "Metrics", "for Prometheus"),)
_WORKERS: tuple[Link, ...] = (
    ("workers", "Workers", "the registry as JSON"),
    ("transitions", "Transitions", "the latest changes of status"),
    ("sd", "Service discovery", "targets for Prometheus"),
)
_ALWAYS: tuple[Link, ...] = (
    ("probes", "Probes", "what is asked, and how it answered"),
    ("actions", "Actions", "what runs on changes, and how it went"),
    ("health", "Health", "of the exporter itself"),
    ("docs", "API", "what can be asked, and tried"),
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>heartbeat-exporter</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}
dt {{ font-weight: 600; margin-top: .75rem; }}
dd {{ margin: 0; color: #555; }}
</style>
</head>
<body>
<h1>heartbeat-exporter</h1>
<p>Version {version}. Judges which workers are alive, and shows it to Prometheus.</p>
<dl>
{links}
</dl>
</body>
</html>
"""


def routes(*, workers: bool) -> APIRouter:
    """`workers` says whether there is a registry to link to."""
    router = APIRouter()
    there = (*_METRICS, *(_WORKERS if workers else ()), *_ALWAYS)
    links = "\n".join(f'<dt><a href="{path}">{title}</a></dt><dd>{what}</dd>' for path, title, what in there)
    page = _PAGE.format(version=__version__, links=links)

    @router.get("/", response_class=HTMLResponse)
    async def landing() -> str:
        return page

    return router
