"""What a worker counts of its own work: requests, functions, health checks, its processes.

These are the worker's metrics, fetched by Prometheus from the worker itself. They are shown of one worker or,
added up, of all in the chosen groups. A panel has a line for each path, function, check or status, of which
there are as many as in the code of the application, and the busiest `MOST` where that is more; or the largest
and the middle value of all processes.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, stat, table
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana.source import frame, one_worker, style
from grafana.source.one_worker import OWN
from grafana.source.tables import Column, decimals, joined, unit

UID = "heartbeat-service"

MOST = 20
MOST_ROWS = 50

STATUS_CLASSES = {"2..": style.GOOD, "3..": style.SKY, "4..": style.WARN, "5..": style.BAD}

NO_REQUESTS = "no requests counted"
NO_FUNCTIONS = "no function is measured"
NO_CHECKS = "no health checks"


def rate(metric: str, by: str = "", matchers: str = "") -> str:
    """PromQL for how often, or how much, in a second, added up over processes and workers."""
    chosen = ", ".join(filter(None, (OWN, matchers)))
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{chosen}}}[$__rate_interval]))"


def most(expr: str) -> str:
    return f"topk({MOST}, {expr})"


def within(quantile: float, metric: str, by: str = "") -> str:
    """PromQL for the time that this share of the observations of a histogram took at most."""
    rates = rate(f"{metric}_bucket", ", ".join(filter(None, (by, "le"))))
    return f"histogram_quantile({quantile}, {rates}) >= 0"


FAILED = 'status_code=~"5.."'
ASKED = 'path_template!~"/metrics|/health(/live|/ready|/startup)?"'
"""What customers ask for, as in the recorded ratios: answers about health say 503 while a check fails."""

ERROR_SHARE = (
    f"({rate('starlette_responses_total', matchers=f'{FAILED}, {ASKED}')} or vector(0))"
    f" / ({rate('starlette_responses_total', matchers=ASKED)} > 0)"
    f" or 0 * {rate('starlette_responses_total')}"
)


def build() -> dashboard.Dashboard:
    made = frame.board(
        UID,
        "Service",
        "What a worker, or all workers of a group, count of their own work.",
        frame.group_choice(),
    )
    for variable in one_worker.choose_worker(one_worker.UP_FIRST, or_all=True):
        made.with_variable(variable)
    made.with_variable(one_worker.address())
    made.link(one_worker.link("heartbeat-worker", "Heartbeats of this worker"))
    made.annotation(frame.firing_marks())
    return frame.fill(
        made,
        frame.Section(
            "Now",
            (
                (requests_now(), 4, 4),
                (errors_now(), 4, 4),
                (duration_now(), 4, 4),
                (in_progress_now(), 4, 4),
                (exceptions_now(), 4, 4),
                (targets(), 4, 4),
            ),
        ),
        frame.Section(
            "Requests",
            (
                (by_status(), 12, 8),
                (by_path(), 12, 8),
                (errors(), 12, 8),
                (exceptions(), 12, 8),
                (durations(), 12, 8),
                (duration_by_path(), 12, 8),
                (in_progress(), 24, 7),
                (paths(), 24, 9),
            ),
        ),
        frame.Section(
            "Functions",
            (
                (calls(), 8, 7),
                (call_durations(), 8, 7),
                (call_failures(), 8, 7),
            ),
        ),
        frame.Section(
            "Health checks",
            (
                (check_durations(), 8, 7),
                (check_failures(), 8, 7),
                (health_requests(), 8, 7),
            ),
        ),
        frame.Section(
            "Processes",
            (
                (cpu(), 8, 7),
                (memory(), 8, 7),
                (files(), 8, 7),
                (collections(), 8, 7),
                (event_loop_lag(), 8, 7),
                (reconnects(), 8, 7),
            ),
        ),
    )


def requests_now() -> stat.Panel:
    return (
        style.numbers(
            "Requests",
            "Requests in a second that have begun. The health paths count too.",
            unit=units.RequestsPerSecond,
        )
        .decimals(2)
        .with_target(style.instant(rate("starlette_requests_total"), "requests"))
        .no_value(NO_REQUESTS)
    )


def errors_now() -> stat.Panel:
    return (
        style.numbers(
            "Share of errors",
            "Responses with a status of 500 or more among all, but for those about health and metrics.",
            unit=units.PercentUnit,
        )
        .decimals(2)
        .thresholds(style.steps((None, style.GOOD), (0.001, style.WARN), (0.01, style.BAD)))
        .with_target(style.instant(ERROR_SHARE, "errors"))
        .no_value(NO_REQUESTS)
    )


def duration_now() -> stat.Panel:
    return (
        style.numbers(
            "Duration of most requests",
            "The time within which 95% of the requests ended.",
            unit=units.Seconds,
        )
        .with_target(style.instant(within(0.95, "starlette_requests_processing_time_seconds"), "95% within"))
        .no_value(NO_REQUESTS)
    )


def in_progress_now() -> stat.Panel:
    return (
        style.numbers(
            "In progress",
            "Requests that have begun and whose response is not complete. That of Prometheus is one.",
        )
        .with_target(style.instant(f"sum(starlette_requests_in_progress{{{OWN}}})", "requests"))
        .no_value(NO_REQUESTS)
    )


def exceptions_now() -> stat.Panel:
    return (
        style.numbers(
            "Exceptions now", "Exceptions in a second that no handler has caught.", unit=units.CountsPerSecond
        )
        .decimals(2)
        .thresholds(style.steps((None, style.GOOD), (1e-9, style.BAD)))
        .with_target(style.instant(f"{rate('starlette_exceptions_total')} or vector(0)", "exceptions"))
    )


def targets() -> stat.Panel:
    panel = (
        style.numbers(
            "Scrape targets",
            "Addresses that Prometheus fetches these metrics from, and whether it got them. Several workers "
            "behind one port are one.",
        )
        .with_target(style.instant(f"count(up{{{OWN}}} == 1)", "answer"))
        .with_target(style.instant(f"count(up{{{OWN}}} == 0)", "do not", ref="B"))
    )
    return style.paint(panel, {"answer": style.GOOD, "do not": style.BAD}).no_value("not scraped")


def by_status() -> lines.Panel:
    panel = (
        style.stacked(
            "Responses by status", "Responses in a second by HTTP status.", unit=units.RequestsPerSecond
        )
        .with_target(style.query(most(rate("starlette_responses_total", "status_code")), "{{status_code}}"))
        .no_value(NO_REQUESTS)
    )
    for statuses, color in STATUS_CLASSES.items():
        panel.override_by_regexp(f"/^{statuses}$/", [_shades(color)])
    return panel


def by_path() -> lines.Panel:
    return (
        style.curves(
            "Requests by path",
            f"Requests in a second by path as it is written in the code, the {MOST} busiest. What no route "
            "takes is unmatched.",
            unit=units.RequestsPerSecond,
        )
        .min(0)
        .with_target(
            style.query(most(rate("starlette_requests_total", "path_template")), "{{path_template}}")
        )
        .no_value(NO_REQUESTS)
    )


def errors() -> lines.Panel:
    failed = rate("starlette_responses_total", "path_template", FAILED)
    every = rate("starlette_responses_total", "path_template")
    return (
        style.curves(
            "Share of errors, altogether and by path",
            "Responses with a status of 500 or more among all, but for those about health and metrics; and "
            f"among those of a path: the {MOST} paths with the largest share, while there is one.",
            unit=units.PercentUnit,
        )
        .min(0)
        .with_target(style.query(ERROR_SHARE, "altogether"))
        .with_target(style.query(most(f"{failed} / ({every} > 0) > 0"), "{{path_template}}", ref="B"))
        .override_by_name("altogether", [style.fixed(style.GREY), style.line("dash")])
        .no_value(NO_REQUESTS)
    )


def exceptions() -> lines.Panel:
    raised = f"increase(starlette_exceptions_total{{{OWN}}}[$__rate_interval])"
    return style.events(
        "Exceptions",
        "Exceptions that no handler has caught, within each step of the graph, by type and path. The first "
        "of its kind since the worker started has nothing before it to be counted from.",
        {
            "{{exception_type}} in {{path_template}}": most(
                f"sum by (exception_type, path_template) ({raised})"
            )
        },
        {},
        none="no exceptions",
    )


def durations() -> lines.Panel:
    return style.quantiles(
        "Duration of requests",
        "The time within which 50%, 95% and 99% of the requests ended, to the last byte of the response.",
        "starlette_requests_processing_time_seconds",
        OWN,
    ).no_value(NO_REQUESTS)


def duration_by_path() -> lines.Panel:
    slowest = within(0.95, "starlette_requests_processing_time_seconds", "path_template")
    return (
        style.curves(
            "Duration of most requests, by path",
            f"The time within which 95% of the requests of a path ended, the {MOST} slowest.",
            unit=units.Seconds,
        )
        .min(0)
        .with_target(style.query(most(slowest), "{{path_template}}"))
        .no_value(NO_REQUESTS)
    )


def in_progress() -> lines.Panel:
    return (
        style.stacked(
            "Requests in progress, by path",
            f"Requests that had begun and whose response was not complete, the {MOST} paths with the most.",
        )
        .with_target(
            style.query(
                most(f"sum by (path_template) (starlette_requests_in_progress{{{OWN}}})"),
                "{{path_template}}",
            )
        )
        .no_value(NO_REQUESTS)
    )


def paths() -> table.Panel:
    by = "method, path_template"
    every = rate("starlette_requests_total", by)
    busiest = f"topk({MOST_ROWS}, {every})"
    failed = f"({rate('starlette_responses_total', by, FAILED)} or 0 * {every})"
    spent = "starlette_requests_processing_time_seconds"
    columns = (
        Column("Errors", f"{failed} / ({every} > 0)", (unit(units.PercentUnit), decimals(2))),
        *(
            Column(f"{quantile:.0%} within", within(quantile, spent, by), (unit(units.Seconds),))
            for quantile in style.QUANTILES
        ),
        Column(
            "In progress",
            f"sum by ({by}) (starlette_requests_in_progress{{{OWN}}})",
            (unit(units.Short),),
        ),
    )
    panel = style.rows(
        "Paths",
        "Each method and path: how many requests in a second, which part of them failed, how long they took. "
        f"The {MOST_ROWS} busiest.",
    )
    return joined(
        panel,
        {"method": "Method", "path_template": "Path"},
        (
            Column("Requests", busiest, (unit(units.RequestsPerSecond), decimals(2))),
            *(column._replace(expr=f"{column.expr} and on ({by}) {busiest}") for column in columns),
        ),
    ).no_value(NO_REQUESTS)


def calls() -> lines.Panel:
    return (
        style.curves(
            "Calls of functions",
            f"Calls in a second that have ended, of functions that are measured; the {MOST} busiest.",
            unit=units.OpsPerSecond,
        )
        .min(0)
        .with_target(
            style.query(most(rate("heartbeat_agent_function_calls_total", "function")), "{{function}}")
        )
        .no_value(NO_FUNCTIONS)
    )


def call_durations() -> lines.Panel:
    seconds = rate("heartbeat_agent_function_seconds_total", "function")
    ended = rate("heartbeat_agent_function_calls_total", "function")
    return (
        style.curves(
            "Mean duration of functions",
            f"Time spent in calls that have ended, divided by these; the {MOST} slowest.",
            unit=units.Seconds,
        )
        .min(0)
        .with_target(style.query(most(f"{seconds} / ({ended} > 0)"), "{{function}}"))
        .no_value("no measured function was called")
    )


def call_failures() -> lines.Panel:
    raised = f"increase(heartbeat_agent_function_failures_total{{{OWN}}}[$__rate_interval])"
    return style.events(
        "Failures of functions",
        "Calls of measured functions that an exception has ended, within each step of the graph.",
        {"{{exception}} in {{function}}": most(f"sum by (function, exception) ({raised})")},
        {},
        none="no failures",
    )


def check_durations() -> lines.Panel:
    slowest = within(0.95, "heartbeat_agent_health_check_duration_seconds", "check")
    return (
        style.curves(
            "Duration of most runs of a check",
            "The time within which 95% of the runs of a health check ended, its waiting for a turn included; "
            f"the {MOST} slowest.",
            unit=units.Seconds,
        )
        .min(0)
        .with_target(style.query(most(slowest), "{{check}}"))
        .no_value(NO_CHECKS)
    )


def check_failures() -> lines.Panel:
    failed = f"increase(heartbeat_agent_health_check_failures_total{{{OWN}}}[$__rate_interval])"
    return style.events(
        "Failures of checks",
        "Unhealthy results of health checks within each step of the graph, by check and reason.",
        {"{{check}}: {{reason}}": most(f"sum by (check, reason) ({failed})")},
        {},
        none="no check failed",
    )


def health_requests() -> lines.Panel:
    asked = rate("heartbeat_agent_health_requests_total", "endpoint, status_code")
    return (
        style.stacked(
            "Questions about health",
            "Answers of the health paths in a second, by path and status: whether load balancers and "
            "orchestrators ask, and what they hear.",
            unit=units.RequestsPerSecond,
        )
        .with_target(style.query(most(asked), "{{endpoint}} {{status_code}}"))
        .no_value("nobody asks")
    )


def cpu() -> lines.Panel:
    return _processes(
        "CPU",
        "Cores that a process keeps busy.",
        f"rate(process_cpu_seconds_total{{{OWN}}}[$__rate_interval])",
        units.PercentUnit,
    )


def memory() -> lines.Panel:
    return _processes(
        "Memory",
        "Resident memory of a process.",
        f"process_resident_memory_bytes{{{OWN}}}",
        units.BytesIEC,
    )


def files() -> lines.Panel:
    return _processes(
        "Open files",
        "File descriptors that a process has open, of those that it may. At 100% it accepts no connection.",
        f"process_open_fds{{{OWN}}} / process_max_fds{{{OWN}}}",
        units.PercentUnit,
    )


def collections() -> lines.Panel:
    return (
        style.curves(
            "Garbage collections",
            "Runs of Python's garbage collector in a second, by generation. The oldest, 2, looks at every "
            "object and stops all else meanwhile.",
            unit=units.OpsPerSecond,
        )
        .min(0)
        .with_target(
            style.query(rate("python_gc_collections_total", "generation"), "generation {{generation}}")
        )
        .no_value("not told")
    )


def event_loop_lag() -> lines.Panel:
    return _processes(
        "Event-loop lag",
        "How late the event loop of the application was, at worst, in the last seconds.",
        f"heartbeat_agent_event_loop_lag_seconds{{{OWN}}}",
        units.Seconds,
    )


def reconnects() -> lines.Panel:
    tried = f"increase(heartbeat_agent_reconnects_total{{{OWN}}}[$__rate_interval])"
    return style.events(
        "Agents that had to connect again",
        "How often agents had to try again to reach the exporter, within each step of the graph, and why.",
        {"{{reason}}": f"sum by (reason) ({tried})"},
        {},
        none="all stayed connected",
    )


def _processes(title: str, description: str, expr: str, unit: str) -> lines.Panel:
    """The largest and the middle value of all processes: however many there are, two lines."""
    return (
        style.curves(
            title, f"{description} Of several processes the largest value and the middle one.", unit=unit
        )
        .min(0)
        .with_target(style.query(f"max({expr})", "largest"))
        .with_target(style.query(f"quantile(0.5, {expr})", "middle", ref="B"))
        .override_by_name("largest", [style.fixed(style.ORANGE)])
        .override_by_name("middle", [style.fixed(style.BLUE), style.line("dash")])
        .no_value("not told")
    )


def _shades(color: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "shades", "fixedColor": color})
