"""Print docs/cli.md, made from the commands themselves; `make docs` puts it in its place.

It reads how the commands are declared and not what the library makes of that, which differs by version.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from exporter import cli

_HEAD = """# Command line

<!-- Written by `make docs` from exporter/cli.py. -->

This page lists all commands of `heartbeat-exporter`, their options and their exit codes. `--help` after any
of them says the same. `heartbeat-exporter --install-completion` completes them in bash, zsh and fish.
"""

_EXIT_CODES = """## Exit codes

| code | |
|---|---|
| 0 | done; of `serve` and `probe`, asked to end |
| 1 | something else that can be expected to go wrong, such as no answer or a refusal; see below |
| 2 | wrong settings, options or arguments, or a wrong configuration file; all that is wrong is named |
| 4 | another exporter has the store |
| 5 | it cannot listen on the address |
| 6 | the store cannot be opened, and trying again would not help |
| 7 | another process has the pidfile |

1 is also what some commands are asked about: `healthcheck`, that the exporter is not ready; `probe --once`,
that a check failed; `loadtest`, that a limit was not kept. With any code but 0 there is a sentence on
standard error, or a table that says it.
"""


class Parameter(NamedTuple):
    """As it is declared: `kind` is the type of its value, `default` what is passed if it is left out."""

    name: str
    info: ArgumentInfo | OptionInfo
    kind: Any
    default: Any

    @property
    def is_argument(self) -> bool:
        return isinstance(self.info, ArgumentInfo)

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty


def main() -> None:
    print(_HEAD)
    print("\n".join(sections(cli.cli, "")))
    print(_EXIT_CODES, end="")


def sections(group: typer.Typer, prefix: str) -> Iterator[str]:
    """One text for each command of a group, and of the groups in it."""
    for command in group.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        yield section(f"{prefix}{name}", command.callback)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from sections(
            inner.typer_instance, f"{prefix}{inner.name or inner.typer_instance.info.name or ''} "
        )


def section(name: str, callback: Callable[..., Any]) -> str:
    """How a command is called, what it does, and its parameters as a table."""
    declared = list(parameters(callback))
    words = ["heartbeat-exporter", name]
    if any(not one.is_argument for one in declared):
        words.append("[OPTIONS]")
    words += [_usage(one) for one in declared if one.is_argument]
    paragraphs = (inspect.getdoc(callback) or "").split("\n\n")
    prose = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    lines = [f"## {name}", "", f"`{' '.join(words)}`", "", prose, ""]
    if declared:
        lines += ["| parameter | default | |", "|---|---|---|", *map(row, declared), ""]
    return "\n".join(lines)


def parameters(callback: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, vars(cli), include_extras=True)
    for name, declared in inspect.signature(callback).parameters.items():
        kind, info, *_ = get_args(hints[name])
        yield Parameter(name, info, kind, declared.default)


def row(parameter: Parameter) -> str:
    text = parameter.info.help or ""
    variable = parameter.info.envvar
    # Where a setting stands behind an option, the model reads the variable and the help names it.
    if named := re.search(r" \[env: (\w+)\]$", text):
        text, variable = text[: named.start()], named.group(1)
    if words := list(_choices(parameter.kind)):
        text = f"{text} One of {', '.join(f'`{word}`' for word in words)}."
    if variable:
        text = f"{text} Also `{variable}`."
    return f"| {_names(parameter)} | {_default(parameter)} | {text} |"


def _usage(argument: Parameter) -> str:
    name = argument.info.metavar or argument.name.upper()
    return name if argument.is_required else f"[{name}]"


def _names(parameter: Parameter) -> str:
    if not isinstance(parameter.info, OptionInfo):
        return f"`{parameter.info.metavar or parameter.name.upper()}`"
    names = [name for declared in _declared(parameter.info) for name in declared.split("/")]
    value = "" if parameter.kind is bool else f" {parameter.info.metavar or _kind(parameter.kind)}"
    return ", ".join(f"`{name}{value}`" for name in names)


def _declared(option: OptionInfo) -> list[str]:
    """Names as they stand in an annotation, where the library takes the first for a default."""
    first = [option.default] if isinstance(option.default, str) else []
    return [*first, *(option.param_decls or ())]


def _kind(kind: Any) -> str:
    return {int: "NUMBER", float: "NUMBER"}.get(kind, "TEXT")


def _choices(kind: Any) -> Iterator[str]:
    """The values of an enumeration, wherever in the type it stands."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield from (member.value for member in kind)
    for inner in get_args(kind):
        yield from _choices(inner)


def _default(parameter: Parameter) -> str:
    default = parameter.default
    if parameter.is_required:
        return "required"
    if default is None or default is False:
        return ""
    if default is True:
        assert isinstance(parameter.info, OptionInfo)
        return f"`{_declared(parameter.info)[0].partition('/')[0]}`"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    main()
