"""How one worker is chosen among thousands, and found again in what Prometheus scrapes of it.

The list has the `MOST` workers that matter, of the chosen groups and with `search` in their name. It is made
once, when the dashboard is opened or these choices change: made anew with each refresh, it would put another
worker before the viewer as soon as the chosen one got better and left it. A worker that is not in it is
chosen by a link with `var-worker_id`, or by typing its id.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

from grafana.source import frame, style

MOST = 200

_LISTED = f'{frame.WORKERS}, worker=~"(?i).*$search.*"'
_LABELS = "worker_id, worker, group"
_SINCE = f"max by ({_LABELS}) (heartbeat_worker_status_since_timestamp_seconds{{{_LISTED}}})"
_UP = f"max by ({_LABELS}) (heartbeat_worker_up{{{_LISTED}}})"
_LOST = f'group by ({_LABELS}) (heartbeat_worker_down_reason{{{_LISTED}, reason!="shutdown"}})'

# What is added outweighs every time.
WORST_FIRST = (
    f"2e10 + {_SINCE} and {_LOST} unless ({_UP} == 1) or 1e10 + {_SINCE} unless ({_UP} == 1) or {_SINCE}"
)
UP_FIRST = f"1e10 + {_SINCE} and ({_UP} == 1) or {_SINCE}"

JOB = "heartbeat-workers"
"""The workers' job in the shipped prometheus.yml."""

OWN = rf'job="{JOB}", group=~"$group", instance=~"(.+@)?\\W?$address(/.*)?"'
"""Matchers of what Prometheus scrapes of the chosen worker itself, or of all in the chosen groups.

Their `instance` is NAME@HOST:PORT, and a path where it is not the usual one. The name is left out: behind one
port there may be several workers, whose metrics Prometheus fetches under the name of one of them. A host that
is an IPv6 address has brackets there.
"""

_CHOSEN = f'heartbeat_worker_info{{{frame.EXPORTER}, worker_id=~"$worker_id"}}'
_HOW_MANY = f"count(group by (worker_id) ({_CHOSEN}))"

# A regular expression, hence a variable of one value, which Grafana puts in as it is: of one worker its host
# and port, with or without the second of the brackets; of several, all.
_ADDRESS = f"""
group by (address) (label_join({_CHOSEN}, "address", "]?:", "host", "port") and on () ({_HOW_MANY} == 1))
or on () label_replace({_HOW_MANY} > 1, "address", ".+", "", "")
or on () label_replace(vector(1), "address", "unknown", "", "")
"""


def choose_worker(order: str, *, or_all: bool) -> tuple[dashboard.TextBoxVariable, dashboard.QueryVariable]:
    """The variables `search` and `worker_id`; with `or_all`, of all workers in the chosen groups too."""
    ranked = f'label_join(topk({MOST}, {order}), "text", " · ", "worker", "group")'
    listed = f"query_result(sort_desc({ranked}))"
    search = (
        dashboard.TextBoxVariable("search")
        .label("Search")
        .description("Part of a worker's name, or a regular expression for it.")
        .default_value("")
    )
    worker = (
        dashboard.QueryVariable("worker_id")
        .label("Worker")
        .description(
            f"The first {MOST} workers of those groups with that in their name. Another one: type its id."
        )
        .datasource(style.SOURCE)
        .query({"query": listed, "refId": "worker_id"})
        .definition(listed)
        .regex('/worker_id="(?<value>[^"]+)|text="(?<text>[^"]+)/g')
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(VariableSort.DISABLED)
        .allow_custom_value(True)
    )
    return search, worker.include_all(True).all_value(".+") if or_all else worker


class _Derived(dashboard.QueryVariable):
    """A variable that is not in the address of the page, where it would outlive what it follows from."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._internal.skip_url_sync = True


def address() -> dashboard.QueryVariable:
    """`address`, which follows from `worker_id`; not shown."""
    found = f"query_result({' '.join(_ADDRESS.split())})"
    return (
        _Derived("address")
        .label("Address")
        .description("Host and port of the chosen worker, as a regular expression.")
        .datasource(style.SOURCE)
        .query({"query": found, "refId": "address"})
        .definition(found)
        .regex('/address="([^"]+)"/')
        .hide(VariableHide.HIDE_VARIABLE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.DISABLED)
    )


def link(uid: str, title: str) -> dashboard.DashboardLink:
    """To another dashboard about the chosen worker."""
    return (
        dashboard.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url(f"/d/{uid}")
        .include_vars(True)
        .keep_time(True)
        .tooltip(title)
    )
