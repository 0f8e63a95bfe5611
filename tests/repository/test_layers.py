"""Who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CORE = ["exporter.core"]
SHELL = [*CORE, "exporter", "exporter.clock", "exporter.errors", "exporter.settings", "exporter.telemetry"]
SERVED = [
    *SHELL,
    "exporter.direct",
    "exporter.hang_up",
    "exporter.monitor",
    "exporter.recent",
    "worker_agent.protocol",
]
PARTS = [
    *SERVED,
    "exporter.actions",
    "exporter.api",
    "exporter.configuration",
    "exporter.metrics",
    "exporter.probes",
    "exporter.reload",
    "exporter.store",
    "exporter.transition_log",
    "exporter.web",
    "worker_agent.environment",
    "worker_agent.signals",
    "worker_agent.systemd",
]

# A module belongs to the longest prefix that fits, and may import its own and those named beside it.
LAYERS: dict[str, list[str]] = {
    # The exporter, from the inside out.
    "exporter": [],
    "exporter.core": [],
    "exporter.clock": CORE,
    "exporter.errors": [],
    "exporter.pidfile": ["exporter.errors"],
    "exporter.privileges": ["exporter.errors"],
    "exporter.settings": [*CORE, "exporter.errors", "worker_agent.environment"],
    "exporter.telemetry": [*CORE, "exporter"],
    "exporter.recent": CORE,
    "exporter.transition_log": CORE,
    "exporter.logs": ["worker_agent.logs"],
    "exporter.direct": [],
    "exporter.hang_up": [],
    "exporter.monitor": SHELL,
    "exporter.actions": SHELL,
    "exporter.probes": SHELL,
    "exporter.configuration": [*CORE, "exporter.actions", "exporter.probes"],
    "exporter.api": [*SERVED, "exporter.actions", "exporter.probes"],
    "exporter.metrics": SERVED,
    "exporter.web": [*SERVED, "exporter.actions", "exporter.probes"],
    "exporter.store": SHELL,
    "exporter.reload": [*SHELL, "exporter.configuration"],
    "exporter.app": PARTS,
    "exporter.daemon": [*PARTS, "exporter.app", "exporter.logs", "exporter.pidfile", "exporter.privileges"],
    "exporter.shipped": ["exporter.errors"],
    "exporter.http": ["exporter.hang_up"],
    "exporter.websocket": ["exporter.direct", "worker_agent.protocol"],
    "exporter.server": [
        "exporter.errors",
        "exporter.http",
        "exporter.websocket",
        "worker_agent.protocol",
    ],
    "exporter.main": [*PARTS, "exporter.app", "exporter.logs"],
    "exporter.programs": ["exporter.errors"],
    "exporter.asking": ["exporter", "exporter.core", "exporter.errors"],
    "exporter.worker_table": [*CORE, "exporter.asking", "exporter.web"],
    "exporter.notification": [*CORE, "exporter.clock", "exporter.errors"],
    "exporter.demo": ["exporter.programs", "exporter.shipped"],
    "exporter.cli": [
        *PARTS,
        "exporter.app",
        "exporter.asking",
        "exporter.configuration",
        "exporter.daemon",
        "exporter.demo",
        "exporter.logs",
        "exporter.notification",
        "exporter.server",
        "exporter.shipped",
        "exporter.worker_table",
        "worker_agent.loadtest",
    ],
    "exporter.__main__": ["exporter.cli"],
    # The worker's side, likewise: what decides first, then what acts, then the app.
    "worker_agent.protocol": [],
    "worker_agent.actions": ["worker_agent.protocol"],
    "worker_agent.backoff": ["worker_agent.protocol"],
    "worker_agent.roundtrip": [],
    "worker_agent.statistics": ["worker_agent.actions"],
    "worker_agent.session": [
        "worker_agent.actions",
        "worker_agent.backoff",
        "worker_agent.protocol",
        "worker_agent.roundtrip",
        "worker_agent.statistics",
    ],
    "worker_agent.masking": [],
    "worker_agent.threads": [],
    "worker_agent.environment": ["worker_agent.masking"],
    "worker_agent.logs": [],
    "worker_agent.signals": [],
    "worker_agent.systemd": [],
    "worker_agent.settings": ["worker_agent.environment"],
    "worker_agent.identity": ["worker_agent.protocol", "worker_agent.settings"],
    "worker_agent.lag": [],
    "worker_agent.supervisor": [],
    "worker_agent.slots": ["worker_agent.supervisor"],
    "worker_agent.background": ["worker_agent.threads"],
    "worker_agent.drain": ["worker_agent.background"],
    "worker_agent.registration": ["worker_agent.actions", "worker_agent.protocol"],
    "worker_agent.client": [
        "worker_agent.actions",
        "worker_agent.lag",
        "worker_agent.protocol",
        "worker_agent.registration",
        "worker_agent.session",
    ],
    "worker_agent.loadtest": [
        "worker_agent.actions",
        "worker_agent.client",
        "worker_agent.registration",
        "worker_agent.session",
        "worker_agent.statistics",
    ],
    "worker_agent.health": [
        "worker_agent.lag",
        "worker_agent.masking",
        "worker_agent.protocol",
        "worker_agent.statistics",
        "worker_agent.threads",
    ],
    "worker_agent.instrumentation": [
        "worker_agent.lag",
        "worker_agent.slots",
        "worker_agent.statistics",
        "worker_agent.supervisor",
    ],
    "worker_agent.running": [
        "worker_agent.background",
        "worker_agent.client",
        "worker_agent.drain",
        "worker_agent.health",
        "worker_agent.identity",
        "worker_agent.instrumentation",
        "worker_agent.lag",
        "worker_agent.registration",
        "worker_agent.session",
        "worker_agent.signals",
        "worker_agent.statistics",
        "worker_agent.systemd",
    ],
    "worker_agent": [
        "worker_agent.agent",
        "worker_agent.environment",
        "worker_agent.instrumentation",
        "worker_agent.settings",
    ],
    "worker_agent.agent": [
        "worker_agent.environment",
        "worker_agent.health",
        "worker_agent.identity",
        "worker_agent.instrumentation",
        "worker_agent.running",
        "worker_agent.settings",
        "worker_agent.statistics",
    ],
    "worker_agent.main": [
        "worker_agent",
        "worker_agent.agent",
        "worker_agent.environment",
        "worker_agent.health",
        "worker_agent.instrumentation",
        "worker_agent.logs",
        "worker_agent.settings",
    ],
}

# The core imports nothing that could read a clock, open a socket, log, or look at the environment.
PURE = [
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "enum",
    "heapq",
    "itertools",
    "math",
    "typing",
]

# Libraries that one part alone may know, so that the others do without.
PRIVATE: dict[str, list[str]] = {
    "aio_pika": ["worker_agent.health"],
    "aiohttp": ["exporter.actions", "exporter.notification", "exporter.probes", "worker_agent.health"],
    "asyncpg": ["worker_agent.health"],
    "redis": ["exporter.store", "worker_agent.health"],
    "sqlite3": ["exporter.store"],
    "starlette_prometheus": ["worker_agent.instrumentation"],
    "sse_starlette": ["exporter.web"],
    "structlog": ["worker_agent.logs"],
    "typer": ["exporter.cli"],
    "daemon": ["exporter.daemon"],
    "uvicorn": [
        "exporter.http",
        "exporter.server",
        "exporter.websocket",
        "worker_agent.health",
        "worker_agent.main",
    ],
    "websockets": ["exporter.probes", "exporter.websocket", "worker_agent.client"],
    "yaml": ["exporter.configuration"],
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("exporter", "worker_agent")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(name: str) -> Iterator[str]:
    """Each module that a module imports, wherever in it: by its full name if it is ours."""
    path = MODULES[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            ancestors = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*ancestors, *filter(None, [node.module])]) if node.level else node.module or ""
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in MODULES else base


def layer(module: str) -> str:
    """The longest prefix of a module's name that is in the table; a package's files belong to it."""
    name = module
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    # `exporter` and `worker_agent` are rows for their own __init__ only, or every new file would fit.
    return name if "." in name or name == module else ""


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("exporter", "worker_agent")


def test_the_table_names_every_module_that_exists() -> None:
    """Each module has a row, and each row a module: a new one is placed before it is written."""
    layers = {layer(name) for name in MODULES}
    assert sorted(name for name in MODULES if not layer(name)) == []
    assert sorted(LAYERS.keys() - layers) == []
    assert sorted({name for allowed in LAYERS.values() for name in allowed} - LAYERS.keys()) == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_inwards(name: str) -> None:
    """A module imports of ours only what its row allows."""
    mine = layer(name)
    outside = {layer(module) or module for module in imports(name) if is_ours(module)} - {mine}
    assert sorted(outside - set(LAYERS[mine])) == []


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) == "exporter.core"])
def test_the_core_is_pure(name: str) -> None:
    """The core imports itself and the few modules of the standard library that only compute."""
    assert sorted(module for module in imports(name) if not is_ours(module) and module not in PURE) == []


@pytest.mark.parametrize("library", PRIVATE)
def test_private_libraries(library: str) -> None:
    """A library that belongs to one part is imported by no other."""
    users = {layer(name) for name in MODULES for module in imports(name) if module.split(".")[0] == library}
    assert sorted(users) == sorted(PRIVATE[library])


def test_there_are_no_circles() -> None:
    """The table can be read from the top: nobody is allowed, however indirectly, to import himself."""
    reachable = {name: set(allowed) - {name} for name, allowed in LAYERS.items()}
    for _ in reachable:
        for name, known in reachable.items():
            reachable[name] = known.union(*(reachable[each] for each in known))
    assert sorted(name for name, known in reachable.items() if name in known) == []


def test_the_worker_knows_no_exporter() -> None:
    """The two programs share the wire and a few small files, which are all on the worker's side."""
    assert [
        name for name in MODULES if name.startswith("worker_agent") and "exporter" in map(top, imports(name))
    ] == []
    shared = {
        module
        for name in MODULES
        if name.startswith("exporter")
        for module in imports(name)
        if module.startswith("worker_agent")
    }
    ours = {f"worker_agent.{name}" for name in ("protocol", "environment", "logs", "signals", "systemd")}
    # The load test is the one thing that the exporter's command does with the worker's side.
    assert {module for module in shared if not module.startswith("worker_agent.loadtest.")} <= ours


def top(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", ["worker_agent.protocol", "worker_agent.session", "worker_agent.client"])
def test_a_heartbeat_client_is_light(module: str) -> None:
    """The wire and the heartbeat client come without a web framework, a database or instrumentation."""
    heavy = ["fastapi", "redis", "starlette", "starlette_prometheus", "prometheus_client", "exporter"]
    command = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert loaded.stdout == "[]\n"
