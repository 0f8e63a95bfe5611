"""The command `heartbeat-exporter`. Exit codes are drawn in exporter/errors.py."""

from __future__ import annotations

import asyncio
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from exporter import __version__, logs
from exporter.configuration.model import ConfigurationError
from exporter.errors import ExporterError
from exporter.settings import Settings
from worker_agent.environment import SettingsError, load

logger = logging.getLogger(__name__)

cli = typer.Typer(
    name="heartbeat-exporter",
    help="Judges which workers are alive, and shows it to Prometheus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"heartbeat-exporter {__version__}")
        raise typer.Exit


@cli.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config.file",
        "-c",
        metavar="FILE",
        help="Probes and actions, in YAML or as the INI file of Heartbeat. [env: CONFIG_FILE]",
    ),
]


@cli.command()
def serve(
    listen_address: Annotated[
        str, typer.Option("--web.listen-address", metavar="[HOST]:PORT", help="Where to listen.")
    ] = ":8000",
    config_file: ConfigFile = None,
    enable_lifecycle: Annotated[
        bool,
        typer.Option("--web.enable-lifecycle", help="Allow POST /-/reload. [env: ENABLE_LIFECYCLE]"),
    ] = False,
    workers: Annotated[
        bool, typer.Option("--workers/--no-workers", help="Take heartbeats, or only probe.")
    ] = True,
    log_level: Annotated[
        str | None,
        typer.Option("--log.level", help="DEBUG, INFO, WARNING, ERROR or CRITICAL. [env: LOG_LEVEL]"),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log.format", help="console, logfmt or json. [env: LOG_FORMAT]")
    ] = None,
) -> None:
    """Run the exporter. All other settings come from the environment or a .env file."""
    from exporter.app import create_app
    from exporter.server import serve as run

    settings = load(
        Settings,
        config_file=config_file,
        enable_lifecycle=enable_lifecycle or None,
        log_level=log_level,
        log_format=log_format,
    )
    logs.configure(settings.log_level, settings.log_format)
    run(create_app(settings, workers=workers), listen_address)


@cli.command()
def probe(
    config_file: ConfigFile = None,
    daemonize: Annotated[
        bool,
        typer.Option("--daemonize", "-d", help="Go on in the background, as with `daemonize`."),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="One pass, only shown: no action; exit code 1 if a check failed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: as JSON.")] = False,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="What earlier passes found. [env: SQLITE_PATH]"),
    ] = None,
) -> None:
    """Probe and act without taking heartbeats: one pass, or in the background."""
    from exporter import daemon
    from exporter.configuration.loading import load as load_configuration

    settings = load(Settings, config_file=config_file)
    if settings.config_file is None:
        raise typer.BadParameter("which file?", param_hint="-c")
    if as_json and not once:
        raise typer.BadParameter("only with --once, which runs no action", param_hint="--json")
    if daemonize and once:
        raise typer.BadParameter("not with --once, which makes one pass", param_hint="-d")
    configuration = load_configuration(settings.config_file)
    if once:
        rows = daemon.look(configuration)
        typer.echo(daemon.shown(rows, as_json=as_json), nl=False)
        raise typer.Exit(any(row.last is None or not row.last.success for row in rows))
    act = daemon.stay if daemonize or configuration.daemon.daemonize else daemon.act_once
    act(settings, configuration, state or settings.sqlite_path or daemon.default_state())


@cli.command()
def demo(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Keep the demo's files here instead of in a temporary directory."),
    ] = None,
) -> None:
    """Show the main job on this machine: exporter, workers, and Prometheus and Alertmanager if installed."""
    from exporter.demo import run

    run(directory)


@cli.command("check-config")
def check_config(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="YAML, or the INI file of Heartbeat.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of the YAML format instead.")
    ] = False,
) -> None:
    """Show what a configuration file means, or all that is wrong with it. Nothing is run."""
    from exporter.configuration.loading import load as load_configuration
    from exporter.configuration.schema import printed
    from exporter.configuration.summary import summary

    if schema:
        typer.echo(printed(), nl=False)
        return
    if file is None:
        raise typer.BadParameter("which file?", param_hint="FILE")
    configuration = load_configuration(file)
    typer.echo(summary(configuration), nl=False)
    for warning in configuration.warnings:
        typer.echo(f"warning: {file}: {warning}", err=True)


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@cli.command("test-notification")
def send_test_notification(
    url: Annotated[
        str,
        typer.Option(
            "--alertmanager.url",
            metavar="URL",
            help="Where Alertmanager is; may hold a user and password for basic auth.",
        ),
    ] = "http://localhost:9093",
    group: Annotated[str, typer.Option("--group", help="The label by which it is routed.")] = "default",
    severity: Annotated[Severity, typer.Option("--severity", help="Likewise.")] = Severity.WARNING,
    duration: Annotated[
        float,
        typer.Option(
            "--duration",
            metavar="SECONDS",
            min=1.0,
            max=3600.0,
            help="After which it has ended. Longer than the group_wait of your route, or nothing is sent.",
        ),
    ] = 60.0,
) -> None:
    """Send an alert that says it is a test, to see that notifications arrive."""
    from exporter import notification
    from exporter.clock import SystemClock

    try:
        notification.without_credentials(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--alertmanager.url") from None
    alert = notification.new_alert(
        group=group, severity=severity.value, at=SystemClock().now().wall, seconds=duration
    )
    taken = asyncio.run(notification.send(url, alert))
    for line in notification.told(url, alert, taken, seconds=duration):
        typer.echo(line)


def main() -> None:
    """Entry point: what is expected to go wrong ends in a sentence and an exit code, not in a traceback."""
    try:
        cli()
    except (SettingsError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ExporterError as error:
        print(f"heartbeat-exporter: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception:
        # Typer's own hook would print it as text, whatever the log looks like.
        logger.critical("ended by a defect", exc_info=True)
        sys.exit(1)
