"""The command `heartbeat-exporter`. Exit codes are drawn in exporter/errors.py."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exporter import __version__
from exporter.core.model import Status
from exporter.errors import ExporterError

if TYPE_CHECKING:
    from exporter.settings import Settings

# What a command needs it imports by itself: a health check that runs every few seconds must not pay for
# a server.

logger = logging.getLogger(__name__)

cli = typer.Typer(
    name="heartbeat-exporter",
    help="Judges which workers are alive, and shows it to Prometheus.",
    no_args_is_help=True,
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


ExporterUrl = Annotated[
    str,
    typer.Option(
        "--exporter.url",
        metavar="URL",
        envvar="EXPORTER_URL",
        help="Where the exporter is.",
    ),
]

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
    from exporter import logs
    from exporter.app import create_app
    from exporter.server import serve as run

    settings = _settings(
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

    settings = _settings(config_file=config_file)
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
    import asyncio

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


config = typer.Typer(help="The configuration that comes with the program.", no_args_is_help=True)
cli.add_typer(config, name="config")


@config.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")],
    exporter: Annotated[
        str, typer.Option("--exporter", metavar="HOST:PORT", help="Where Prometheus finds the exporter.")
    ] = "localhost:8000",
    prometheus: Annotated[
        str, typer.Option("--prometheus", metavar="HOST:PORT", help="Where Grafana finds Prometheus.")
    ] = "localhost:9090",
    alertmanager: Annotated[
        str,
        typer.Option("--alertmanager", metavar="HOST:PORT", help="Where both find Alertmanager."),
    ] = "localhost:9093",
    receiver: Annotated[
        str | None,
        typer.Option("--receiver", metavar="NAME", help="Where notifications go: email, slack and others."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Write the files for Prometheus, Alertmanager and Grafana, for those who do not use compose."""
    from exporter import shipped

    addresses = shipped.Addresses(exporter, prometheus, alertmanager)
    for line in shipped.export(directory, addresses, receiver=receiver, force=force):
        typer.echo(line)


@cli.command()
def workers(
    exporter_url: ExporterUrl = "http://localhost:8000",
    status: Annotated[list[Status] | None, typer.Option("--status", help="Only these.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only this group.")] = None,
    q: Annotated[str | None, typer.Option("--q", help="Only with this in an id, a name or a host.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until Ctrl-C, every two seconds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As the exporter's API has them.")] = False,
) -> None:
    """Show who is alive, and who is not and why."""
    from exporter import worker_table
    from exporter.asking import AskedExporter

    if watch and as_json:
        raise typer.BadParameter("not with --watch", param_hint="--json")
    if watch and not sys.stdout.isatty():
        raise typer.BadParameter("only on a terminal", param_hint="--watch")
    exporter = AskedExporter(exporter_url)
    filters: worker_table.Filters = {
        "status": [one.value for one in status or ()],
        "group": group or "",
        "q": q or "",
    }
    if not watch:
        worker_table.show(exporter, filters, as_json=as_json)
        return
    try:
        worker_table.watch(exporter, filters)
    except KeyboardInterrupt:
        return


@cli.command()
def forget(
    worker_id: Annotated[str, typer.Argument(metavar="ID", help="As `workers` shows it.")],
    exporter_url: ExporterUrl = "http://localhost:8000",
) -> None:
    """Forget a worker that will not come back. One that is alive registers again."""
    from exporter.asking import AskedExporter

    AskedExporter(exporter_url).forget(worker_id)
    typer.echo(f"forgotten: {worker_id}")


@cli.command()
def healthcheck(
    exporter_url: ExporterUrl = "http://localhost:8000",
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, max=60.0, help="Longest wait.")
    ] = 3.0,
) -> None:
    """Exit code 0 if the exporter is ready, else 1: for containers."""
    from exporter.asking import AskedExporter

    AskedExporter(exporter_url).ready(timeout)


@cli.command()
def loadtest(
    exporter_url: ExporterUrl = "http://localhost:8000",
    workers: Annotated[int, typer.Option("--workers", min=1, max=1_000_000, help="How many.")] = 100,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600.0, help="Between heartbeats.")
    ] = 5.0,
    duration: Annotated[
        float,
        typer.Option("--duration", metavar="SECONDS", min=0.0, help="After all were started."),
    ] = 60.0,
    rate: Annotated[
        float, typer.Option("--rate", metavar="PER_SECOND", min=0.1, help="New workers each second.")
    ] = 200.0,
    group: Annotated[str, typer.Option("--group", help="Which they are in.")] = "loadtest",
    groups: Annotated[
        int, typer.Option("--groups", min=1, max=1_000, help="Spread over so many, numbered.")
    ] = 1,
    connected: Annotated[
        float,
        typer.Option(
            "--limit.connected", metavar="PERCENT", min=0.0, max=100.0, help="At least, at the end."
        ),
    ] = 100.0,
    round_trip: Annotated[
        float,
        typer.Option("--limit.round-trip", metavar="SECONDS", min=0.0, help="For 99 of 100, at most."),
    ] = 1.0,
    errors: Annotated[int, typer.Option("--limit.errors", min=0, help="In all, at most.")] = 0,
) -> None:
    """Be many workers, and tell how an exporter bears it. Exit code 1 if it is beyond a limit.

    The workers are real: they show up in metrics, and leave at the end, also after Ctrl-C. Killed they are
    lost, and alerted on.
    """
    from exporter.asking import AskedExporter
    from worker_agent.loadtest import command
    from worker_agent.loadtest.crowd import Plan
    from worker_agent.loadtest.report import Limits

    exporter = AskedExporter(exporter_url)
    exporter.ready(timeout=10.0)
    plan = Plan(exporter.url, workers, interval, duration, rate, group, groups)
    try:
        kept = command.run(plan, Limits(connected / 100, round_trip, errors), exporter.forgets)
    except command.TooManyFiles as error:
        raise ExporterError(str(error)) from None
    raise typer.Exit(not kept)


@cli.command()
def version() -> None:
    """Show the version, as --version does."""
    _print_version(True)


def _settings(**flags: object) -> Settings:
    """What the environment says, and what flags say instead. Raises SettingsError."""
    from exporter.settings import Settings
    from worker_agent.environment import load

    return load(Settings, **flags)


def main() -> None:
    """Entry point: what is expected to go wrong ends in a sentence and an exit code, not in a traceback."""
    try:
        cli()
    except ExporterError as error:
        print(f"heartbeat-exporter: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if _is_wrong_input(error):
            print(error, file=sys.stderr)
            sys.exit(2)
        # Typer's own hook would print it as text, whatever the log looks like.
        logger.critical("ended by a defect", exc_info=True)
        sys.exit(1)


def _is_wrong_input(error: Exception) -> bool:
    from exporter.configuration.model import ConfigurationError
    from worker_agent.environment import SettingsError

    return isinstance(error, SettingsError | ConfigurationError)
