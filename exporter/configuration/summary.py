"""What was understood of a configuration, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from exporter.actions.base import Action, WorkerSelection
from exporter.configuration.duration import shown
from exporter.configuration.model import Configuration, Daemon
from exporter.core.acting import Kind

Row = Sequence[str]


def summary(configuration: Configuration) -> str:
    """Tables of probes and actions, and what holds for all of them; ends with a newline."""
    return "\n".join("\n".join(part) + "\n" for part in _parts(configuration))


def _parts(configuration: Configuration) -> Iterator[list[str]]:
    if configuration.probes:
        header = ("probe", "kind", "target", "interval", "timeout", "down after", "up after", "action")
        yield table(
            header,
            [
                (
                    probe.name,
                    probe.kind,
                    probe.options.target,
                    shown(probe.interval),
                    shown(probe.timeout),
                    str(probe.failure_threshold),
                    str(probe.success_threshold),
                    _joined(action.name for action in configuration.actions if probe.name in action.probes),
                )
                for probe in configuration.probes
            ],
        )
    if configuration.actions:
        yield table(
            ("action", "promote", "demote", "timeout", "depends on"),
            [
                (
                    action.name,
                    *(_hook(action, kind) for kind in Kind),
                    shown(action.timeout),
                    _depends(action),
                )
                for action in configuration.actions
            ],
        )
    yield list(_rules(configuration))


def _hook(action: Action, kind: Kind) -> str:
    hook = action.hooks.get(kind)
    return hook.options.shown if hook else "-"


def _depends(action: Action) -> str:
    selection = [] if action.workers is None else [_workers(action.workers)]
    return _joined([*action.probes, *selection])


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "-"


def _workers(workers: WorkerSelection) -> str:
    which = "all workers" if workers.group is None else f"workers of group {workers.group}"
    said = {"shutdown": workers.shutdown_is_down, "leave": workers.leave_is_down}
    also = " and ".join(name for name, is_down in said.items() if is_down)
    return f"{which} (down also by {also})" if also else which


def _rules(configuration: Configuration) -> Iterator[str]:
    if configuration.probes:
        yield f"probes in flight at most: {configuration.concurrency}"
    brake = configuration.brake
    if configuration.actions and brake.share < 1:
        then = {"run": "then they run", "drop": "then they are dropped"}[brake.then]
        yield (
            f"actions are held for {shown(brake.hold)} when more than {brake.share:.0%} of all, and at least"
            f" {brake.at_least}, fail within {shown(brake.window)}; {then}"
        )
        yield f"demotions wait for {shown(brake.patience)}"
    daemon = configuration.daemon
    if daemon != Daemon():
        said = [(field.name, getattr(daemon, field.name)) for field in fields(daemon)]
        yield "daemon: " + ", ".join(f"{name} {_plain(value)}" for name, value in said if value is not None)
    if not configuration.probes and not configuration.actions:
        yield "no probe and no action"


def _plain(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def table(header: Row, rows: Sequence[Row]) -> list[str]:
    """Lines with the columns below each other."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
