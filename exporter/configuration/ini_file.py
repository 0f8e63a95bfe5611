"""A configuration in the format of the small daemon Heartbeat, taken as it is.

`[general]` says how the daemon runs, `[promotions]` and `[demotions]` hold a command by the name of each
action, `[DEFAULT]` holds what checks do not say themselves, and every other section is a check. As that
daemon did it: every single result decides, an HTTP check wants status 200, keys do not mind their case, and
what is given again counts as it is given last; and it had no brake. What it passed over in silence is a
warning.

Where a file says nothing: interval 60, timeout 5 (seconds), path `/`, 10 threads, and no daemon.
"""

from __future__ import annotations

import re
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from exporter.actions import varieties as actions
from exporter.actions.base import Action, BrakeRules, Hook
from exporter.configuration.duration import Limit, Period, shown
from exporter.configuration.ini_sections import DEFAULT, Sections, Unreadable
from exporter.configuration.model import Configuration, ConfigurationError, Daemon, Problem
from exporter.configuration.problems import sentence, suggestion
from exporter.core.acting import Kind
from exporter.probes import varieties as probes
from exporter.probes.base import Options, Probe

_THREADS = 10
_NO_BRAKE = BrakeRules(share=1.0)
_HOOKS = {Kind.PROMOTE: "promotions", Kind.DEMOTE: "demotions"}
_NO_CHECKS = (DEFAULT, "general", *_HOOKS.values())
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_OTHER_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL"}


def _seconds(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _named(text: str) -> str | None:
    return None if text in ("", "None") else text


_Named = BeforeValidator(_named)
_Seconds = BeforeValidator(_seconds)
_Lower = BeforeValidator(str.lower)


class _General(BaseModel):
    user: Annotated[str | None, _Named] = None
    group: Annotated[str | None, _Named] = None
    logfile: Annotated[Path | None, _Named] = None
    loglevel: Annotated[str | None, _Named] = None
    pidfile: Annotated[Path | None, _Named] = None
    threads: Annotated[int, Field(ge=1, le=10_000)] | None = None
    daemonize: bool = False
    interval: Annotated[Period, _Seconds] = 60.0


class _Check(BaseModel):
    type: Annotated[Literal["http", "https", "tcp"], _Lower]
    hostname: str
    port: int
    action: str = Field(min_length=1)
    path: str = "/"
    timeout: Annotated[Limit, _Seconds] = 5.0


# What the options of a probe call otherwise than a check.
_KEYS_OF_OPTIONS = {"host": "hostname"}


def read(path: Path, text: str) -> Configuration:
    """What a file says.

    Raises:
        ConfigurationError: it names all that is wrong with the file.
    """
    try:
        file = _File(Sections(text))
    except Unreadable as error:
        raise ConfigurationError(path, error.problems) from None
    configuration = file.configuration()
    if file.wrong:
        raise ConfigurationError(path, _in_order(file.wrong))
    return replace(configuration, warnings=_in_order(file.warnings))


def _in_order(found: list[tuple[int, Problem]]) -> tuple[Problem, ...]:
    return tuple(problem for _, problem in sorted(found, key=itemgetter(0)))


class _File:
    """Collects what is wrong on the way through a file; what it makes is valid only if nothing is."""

    def __init__(self, sections: Sections) -> None:
        self.wrong: list[tuple[int, Problem]] = []
        self.warnings: list[tuple[int, Problem]] = []
        self._sections = sections
        self._action_of = {
            name: sections.of(name).get("action", "").lower()
            for name in sections.names()
            if name not in _NO_CHECKS
        }

    def configuration(self) -> Configuration:
        self._look_around()
        general = self._general()
        found = [self._probe(name, general.interval) for name in self._action_of]
        commands = self._commands()
        self._compare(list(commands))
        return Configuration(
            probes=tuple(probe for probe in found if probe is not None),
            actions=tuple(
                Action(
                    name=name,
                    hooks=hooks,
                    probes=tuple(check for check, action in self._action_of.items() if action == name),
                )
                for name, hooks in commands.items()
            ),
            brake=_NO_BRAKE,
            concurrency=general.threads or _THREADS,
            daemon=Daemon(**general.model_dump(exclude={"interval"})),
        )

    def _look_around(self) -> None:
        """What that daemon passed over in silence."""
        for section, key in self._sections.repeated:
            self._warn(section, key, "is given again, and counts as it is here")
        for section in self._sections.names():
            known = self._known_keys(section)
            for key, value in self._sections.own(section).items():
                if known and key not in known:
                    self._warn(section, key, f"is not known and has no effect{suggestion(key, known)}")
                if found := re.search(r"%\(\w+\)s", value):
                    self._warn(section, key, f"{found[0]} is not replaced but taken as it is")

    @staticmethod
    def _known_keys(section: str) -> list[str]:
        """Empty where keys are names that the user gives."""
        match section:
            case "general":
                return list(_General.model_fields)
            case "promotions" | "demotions":
                return []
            case "DEFAULT":
                return [*_Check.model_fields, *_General.model_fields]
            case _:
                return list(_Check.model_fields)

    def _general(self) -> _General:
        said = self._sections.of("general")
        level = said.get("loglevel", "").upper()
        said["loglevel"] = _OTHER_LEVELS.get(level, level)
        if said["loglevel"] not in (*_LEVELS, "", "NONE"):
            self._warn("general", "loglevel", f"is none of {', '.join(_LEVELS)}: INFO is taken")
            said["loglevel"] = "INFO"
        try:
            return _General.model_validate(said)
        except ValidationError as error:
            self._refuse("general", error)
            return _General()

    def _probe(self, name: str, interval: float) -> Probe | None:
        try:
            check = _Check.model_validate(self._sections.of(name))
            options = _options(check)
        except ValidationError as error:
            if self._sections.own(name).keys() & _Check.model_fields.keys():
                self._refuse(name, error)
            else:
                hint = suggestion(name, _NO_CHECKS)
                self._complain(name, "", f"is no check: it has no type, hostname, port and action{hint}")
            return None
        if check.timeout > interval:
            # There, the interval was the pause after a pass, however long that took.
            self._warn(name, "timeout", f"is above the interval: checked every {shown(check.timeout)}")
        return Probe(
            name=name,
            kind=check.type,
            options=options,
            interval=max(interval, check.timeout),
            timeout=check.timeout,
            failure_threshold=1,
            success_threshold=1,
        )

    def _commands(self) -> dict[str, dict[Kind, Hook]]:
        """The hooks of each action."""
        found: dict[str, dict[Kind, Hook]] = {}
        options = actions.VARIETIES["command"].options
        for kind, section in _HOOKS.items():
            for name, command in self._sections.own(section).items():
                hooks = found.setdefault(name, {})
                try:
                    hooks[kind] = Hook(kind="command", options=options.model_validate({"command": command}))
                except ValidationError as error:
                    for detail in error.errors(include_url=False):
                        self._complain(section, name, sentence(detail))
        return found

    def _compare(self, names: list[str]) -> None:
        """A check needs both commands of its action; a command that no check needs is never run."""
        for check, action in self._action_of.items():
            absent = [section for section in _HOOKS.values() if action not in self._sections.own(section)]
            if action and absent:
                hint = suggestion(action, names) if action not in names else ""
                sections = " and ".join(f"[{section}]" for section in absent)
                self._complain(check, "action", f"there is no {action} in {sections}{hint}")
        for name in names:
            if name not in self._action_of.values():
                section = next(its for its in _HOOKS.values() if name in self._sections.own(its))
                self._warn(section, name, "is never run: no check names it")

    def _refuse(self, section: str, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            key = str(detail["loc"][0]) if detail["loc"] else ""
            self._complain(section, _KEYS_OF_OPTIONS.get(key, key), sentence(detail))

    def _complain(self, section: str, key: str, expected: str) -> None:
        self.wrong.append(self._found(section, key, expected))

    def _warn(self, section: str, key: str, expected: str) -> None:
        self.warnings.append(self._found(section, key, expected))

    def _found(self, section: str, key: str, expected: str) -> tuple[int, Problem]:
        return self._sections.line(section, key), Problem(self._sections.place(section, key), expected)


def _options(check: _Check) -> Options:
    said: dict[str, Any] = {"host": check.hostname, "port": check.port}
    if check.type != "tcp":
        said |= {"path": check.path, "expect": {"status": [200]}}
    return probes.VARIETIES[check.type].options.model_validate(said)
