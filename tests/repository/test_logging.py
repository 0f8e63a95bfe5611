"""docs/logging.md tells of every line that is logged, of every field, and of nothing else."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.support.logs import documented, section
from worker_agent.logs import COMPONENTS, component, formatter

ROOT = Path(__file__).parents[2]
LOGGERS = ("logger", "_python")
METHODS = {
    **{level: level for level in ("debug", "info", "warning", "error", "critical")},
    "exception": "error",
    "log": None,
}
"""Those of a logger, with the level of the line."""


class Call(NamedTuple):
    """A call that logs: through which logger, at which level (None: it depends), what, with which `extra`."""

    logger: str
    level: str | None
    event: str
    extra: ast.expr | None


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("exporter", "worker_agent"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text())


def calls(module: str, tree: ast.Module) -> Iterator[Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=logger), attr=method)) if (
                logger in LOGGERS and method in METHODS
            ):
                (event, *_) = [arg.value for arg in node.args if isinstance(arg, ast.Constant)] or [None]
                if isinstance(event, str):
                    yield Call(
                        "python" if logger == "_python" else module,
                        METHODS[method],
                        re.sub(r"%[\d.]*[a-z]", "…", event).replace("%%", "%"),
                        next((keyword.value for keyword in node.keywords if keyword.arg == "extra"), None),
                    )


def fields(tree: ast.Module, extra: ast.expr) -> Iterator[str]:
    """The keys of a dict, wherever in the module it is put together."""
    if isinstance(extra, ast.Dict):
        for key, value in zip(extra.keys, extra.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value)
            else:
                yield from fields(tree, value)
    elif isinstance(extra, ast.Call):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name == ast.unparse(extra.func):
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        yield from fields(tree, node.value)
    else:
        yield from fields_of_a_name(tree, ast.unparse(extra))


def fields_of_a_name(tree: ast.Module, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=holder, slice=ast.Constant(value=key))]):
                if ast.unparse(holder) == name:
                    yield str(key)
            case ast.Assign(targets=[target], value=ast.Dict() as value):
                if ast.unparse(target) == name:
                    yield from fields(tree, value)
            case ast.AnnAssign(target=target, value=ast.Dict() as value):
                if ast.unparse(target) == name:
                    yield from fields(tree, value)


def test_the_examples_are_one_line_in_each_format() -> None:
    """What they show is what is written."""
    console, logfmt, line = re.findall(
        r"^```(?:text|json)\n(.*?)\n```$", section("Formats"), re.DOTALL | re.MULTILINE
    )
    fields = json.loads(line)
    time, level, event = (fields.pop(name) for name in ("time", "level", "event"))
    assert fields.pop("component") == component("exporter.transition_log")
    record = logging.makeLogRecord(
        {
            "name": "exporter.transition_log",
            "levelname": level.upper(),
            "created": datetime.fromisoformat(time).timestamp(),
            "msg": event,
            **fields,
        }
    )
    assert formatter("json").format(record) == line
    assert formatter("logfmt").format(record) == logfmt
    assert re.sub(" +", " ", formatter("console").format(record)) == re.sub(" +", " ", console)


def test_every_line_is_in_the_table() -> None:
    """Component, event and level; a level that depends is described, and so not compared."""
    known = {(speaker, event): level for level, speaker, event, _ in documented("Events")}
    logged: dict[tuple[str, str], str] = {}
    for module, tree in modules():
        for call in calls(module, tree):
            where = (component(call.logger), call.event)
            logged[where] = call.level or known.get(where, "?")
    assert logged == known


def test_every_field_is_in_the_table() -> None:
    """Those that our own lines have."""
    used = {
        field
        for module, tree in modules()
        for call in calls(module, tree)
        if call.extra is not None
        for field in fields(tree, call.extra)
    }
    assert sorted(used) == sorted(field for names, _ in documented("Fields") for field in names.split(", "))


def test_every_component_is_in_the_table() -> None:
    """With the loggers that it stands for."""
    loggers: dict[str, list[str]] = {}
    for logger, speaker in COMPONENTS.items():
        loggers.setdefault(speaker, []).append(logger)
    assert loggers == {speaker: names.split(", ") for speaker, names, _ in documented("Components")}


def test_the_snippet_runs() -> None:
    """An application's line, in the format that its agent's settings name."""
    (snippet,) = re.findall(
        r"^```python\n(.*?)^```$", section("In an application of your own"), re.DOTALL | re.MULTILINE
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"LOG_FORMAT": "json"},
        check=True,
    )
    assert list(json.loads(done.stderr).values())[1:] == ["info", "orders", "order taken", 7]
