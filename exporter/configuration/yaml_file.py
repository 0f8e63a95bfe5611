"""A configuration written in YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.actions import varieties as actions
from exporter.actions.base import Action, BrakeRules, Hook, WorkerSelection
from exporter.configuration import document, problems, schema
from exporter.configuration.document import Document, NoDocument
from exporter.configuration.duration import shown
from exporter.configuration.model import Configuration, ConfigurationError, Problem
from exporter.core.acting import Kind
from exporter.probes import varieties as probes
from exporter.probes.base import Probe

_TIMEOUT = 5.0
"""Of a probe, in seconds, where the file says nothing and the interval is not shorter."""


def read(path: Path, text: str) -> Configuration:
    """What a file says; `path` is its own, and what it names is relative to its directory.

    Raises:
        ConfigurationError: it names all that is wrong with the file.
    """
    try:
        parsed = document.parse(text)
    except NoDocument as error:
        raise ConfigurationError(path, tuple(map(problems.of_fault, error.faults))) from None
    data = {} if parsed.data is None else parsed.data
    try:
        file = schema.file_model().model_validate(data, context={"directory": path.absolute().parent})
    except ValidationError as error:
        found = problems.of_validation(error, parsed, schema.json_schema())
        raise ConfigurationError(path, found) from None
    wrong = [*_impossible_times(file, parsed), *_unknown_names(file, parsed), *_empty_actions(file, parsed)]
    if wrong:
        # Two probes may suffer from the same default.
        raise ConfigurationError(path, tuple(dict.fromkeys(wrong)))
    return _configuration(file, parsed)


def _configuration(file: Any, parsed: Document) -> Configuration:
    configuration = Configuration(
        probes=tuple(_probe(name, section, file.defaults) for name, section in file.probes.items()),
        actions=tuple(_action(name, section, file.probes) for name, section in file.actions.items()),
        brake=BrakeRules(**file.brake.model_dump()),
        concurrency=file.concurrency,
    )
    warnings = [
        _problem(parsed, ("actions", action.name), "is never run: no probe names it, and it has no `on`")
        for action in configuration.actions
        if not action.probes and action.workers is None
    ]
    return replace(configuration, warnings=tuple(warnings))


def _probe(name: str, section: Any, defaults: schema.DefaultsSection) -> Probe:
    options = probes.VARIETIES[section.type].options
    said = {field: getattr(section, field) for field in options.model_fields}
    interval, timeout = _times(section, defaults)
    return Probe(
        name=name,
        kind=section.type,
        options=options.model_construct(section.model_fields_set & said.keys(), **said),
        interval=interval,
        timeout=timeout,
        failure_threshold=section.failure_threshold or defaults.failure_threshold,
        success_threshold=section.success_threshold or defaults.success_threshold,
    )


def _times(section: Any, defaults: schema.DefaultsSection) -> tuple[float, float]:
    interval = section.interval or defaults.interval
    return interval, section.timeout or defaults.timeout or min(_TIMEOUT, interval)


def _action(name: str, section: Any, all_probes: dict[str, Any]) -> Action:
    on = section.on or schema.OnSection()
    return Action(
        name=name,
        hooks={kind: _hook(getattr(section, kind)) for kind in Kind if getattr(section, kind) is not None},
        probes=tuple(probe for probe, its in all_probes.items() if its.action == name or probe in on.probes),
        workers=None
        if on.workers is None
        else WorkerSelection(
            group=on.workers.group, shutdown_is_down=on.workers.shutdown, leave_is_down=on.workers.leave
        ),
        timeout=section.timeout,
        cooldown=section.cooldown,
        retries=section.retries,
        backoff=section.backoff,
        run_on_start=section.run_on_start,
        dry_run=section.dry_run,
    )


def _hook(options: Any) -> Hook:
    (kind,) = (kind for kind, variety in actions.VARIETIES.items() if type(options) is variety.options)
    return Hook(kind=kind, options=options)


def _impossible_times(file: Any, parsed: Document) -> Iterator[Problem]:
    for name, section in file.probes.items():
        interval, timeout = _times(section, file.defaults)
        if timeout > interval:
            # Said where the probe says something about it, so that the line is one to change.
            own = "timeout" if section.timeout else "interval"
            path = ("probes", name, own) if getattr(section, own) else ("defaults", "timeout")
            said = f"a timeout of {shown(timeout)} must not be above the interval of {shown(interval)}"
            yield _problem(parsed, path, said)


def _unknown_names(file: Any, parsed: Document) -> Iterator[Problem]:
    for name, section in file.probes.items():
        if section.action is not None and section.action not in file.actions:
            yield _unknown(parsed, ("probes", name, "action"), "action", section.action, list(file.actions))
    for name, section in file.actions.items():
        for index, probe in enumerate(section.on.probes if section.on else ()):
            if probe not in file.probes:
                path = ("actions", name, "on", "probes", index)
                yield _unknown(parsed, path, "probe", probe, list(file.probes))


def _unknown(parsed: Document, path: document.Path, what: str, name: str, known: list[str]) -> Problem:
    return _problem(parsed, path, f"there is no {what} {name}{problems.suggestion(name, known)}")


def _empty_actions(file: Any, parsed: Document) -> Iterator[Problem]:
    for name, section in file.actions.items():
        if section.promote is None and section.demote is None:
            yield _problem(parsed, ("actions", name), "must have promote, demote, or both")


def _problem(parsed: Document, path: document.Path, expected: str) -> Problem:
    return Problem(problems.place(path, parsed.line(path)), expected)
