"""Somebody who looks at a dashboard: variables are filled and queries asked as Grafana does it.

Written after Grafana's documentation and observed behaviour: which API a query goes to, how values of
variables are quoted, what a regular expression makes of the names that a variable's query finds.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .dashboards import TIMES, Dashboard, Query, annotation_queries, fill, panel_queries, panels, variables

Labels = Mapping[str, str]

_FUNCTION = re.compile(r"(label_values|query_result)\((.+)\)", re.DOTALL)
_LAST_ARGUMENT = re.compile(r"(?:(.+), *)?(\w+)", re.DOTALL)


class Series(NamedTuple):
    """What a query answers with."""

    labels: Labels
    values: list[float]
    """Over the time range; the only one of a query that is instant."""


class Refused(Exception):
    """Prometheus did not answer a query; says why."""


class Times(NamedTuple):
    """What is looked at, in Unix seconds."""

    start: float
    end: float
    step: float
    scrape_interval: float

    @property
    def variables(self) -> dict[str, str]:
        """Grafana's own, by the rules that it has for them."""
        rate = max(self.step + self.scrape_interval, 4 * self.scrape_interval)
        seconds = {"interval": self.step, "range": self.end - self.start, "rate_interval": rate}
        found = {f"__{name}": f"{value:.0f}s" for name, value in seconds.items()}
        found |= {f"__{name}_s": f"{value:.0f}" for name, value in seconds.items()}
        found |= {f"__{name}_ms": f"{value * 1000:.0f}" for name, value in seconds.items()}
        return {name: value for name, value in found.items() if name in TIMES}


class Viewer:
    """One dashboard at a time range of one Prometheus; all is chosen that can be, but for `choices`.

    `chosen` has the text that takes the place of each variable. Refused, by every method: a query is wrong.
    """

    def __init__(self, dashboard: Dashboard, prometheus: str, times: Times, **choices: str) -> None:
        self.dashboard = dashboard
        self._prometheus = prometheus
        self._times = times
        self.chosen: dict[str, str] = {**times.variables}
        self.options: dict[str, list[str]] = {}
        for name, variable in variables(dashboard).items():
            match variable["type"]:
                case "query":
                    self.options[name] = self._options(variable)
                    self.chosen[name] = self._choice(variable, self.options[name], choices.get(name))
                case "textbox":
                    self.chosen[name] = choices.get(name, "")

    def queries(self) -> Iterator[Query]:
        """Of panels and annotations, with the variables filled in."""
        for panel in panels(self.dashboard):
            yield from map(self._filled, panel_queries(self.dashboard, panel))
        yield from map(self._filled, annotation_queries(self.dashboard))

    def panel(self, title: str) -> dict[str, list[Series]]:
        """What the queries of a panel answer, by their letters. LookupError: there is no such panel."""
        found = [query for query in self.queries() if query.place == title]
        if not found:
            raise LookupError(f"{self.dashboard['uid']} has no panel {title!r}")
        return {query.ref: self.ask(query) for query in found}

    def ask(self, query: Query) -> list[Series]:
        if query.instant:
            answer = self._get("query", query=query.expr, time=self._times.end)
            return [Series(one["metric"], [float(one["value"][1])]) for one in _vector(answer)]
        start, end, step = self._times.start, self._times.end, self._times.step
        answer = self._get("query_range", query=query.expr, start=start, end=end, step=step)
        return [
            Series(one["metric"], [float(value) for _, value in one["values"]]) for one in answer["result"]
        ]

    def _filled(self, query: Query) -> Query:
        return query._replace(expr=fill(query.expr, self.chosen))

    def _options(self, variable: Mapping[str, Any]) -> list[str]:
        """What can be chosen, as the variable's query and regular expression have it."""
        found = _FUNCTION.fullmatch(fill(variable["query"]["query"], self.chosen))
        assert found, f"not understood: {variable['query']['query']}"
        function, argument = found.groups()
        if function == "query_result":
            answer = self._get("query", query=argument, time=self._times.end)
            names = [_as_text(one) for one in _vector(answer)]
        else:
            by_label = _LAST_ARGUMENT.fullmatch(argument)
            assert by_label, f"not understood: {argument}"
            selector, label = by_label.groups()
            match = {"match[]": selector} if selector else {}
            names = self._get(f"label/{label}/values", start=self._times.start, end=self._times.end, **match)
        return list(dict.fromkeys(_extracted(names, variable.get("regex") or "")))

    def _choice(self, variable: Mapping[str, Any], options: Sequence[str], wish: str | None) -> str:
        if wish is None and variable.get("includeAll"):
            all_value: str = variable["allValue"]
            return all_value
        value = options[0] if wish is None and options else wish or ""
        if variable.get("multi") or variable.get("includeAll"):
            return _regex_escaped(value)
        return value.replace("'", r"\\'")

    def _get(self, path: str, **parameters: object) -> Any:
        return _get(self._prometheus, path, **parameters)


def every_series(prometheus: str, start: float, end: float) -> list[dict[str, str]]:
    """The labels of all that Prometheus has of this time."""
    found: list[dict[str, str]] = _get(
        prometheus, "series", start=start, end=end, **{"match[]": '{__name__=~".+"}'}
    )
    return found


def _get(prometheus: str, path: str, **parameters: object) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10.0) as response:
            return json.load(response)["data"]
    except urllib.error.HTTPError as refused:
        with refused:
            raise Refused(f"{parameters}: {json.load(refused)['error']}") from None


def _vector(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    if answer["resultType"] == "scalar":
        return [{"metric": {}, "value": answer["result"]}]
    found: list[dict[str, Any]] = answer["result"]
    return found


def _as_text(sample: Mapping[str, Any]) -> str:
    """A sample as a variable's regular expression sees it."""
    labels = dict(sample["metric"])
    name = labels.pop("__name__", "")
    written = ",".join(f'{label}="{value}"' for label, value in labels.items())
    at, value = sample["value"]
    return f"{name}{{{written}}} {value} {at * 1000:.0f}"


def _extracted(names: Sequence[str], regex: str) -> Iterator[str]:
    """The values in these names: all of a name, a group called `value`, or the first group."""
    if not regex:
        yield from names
        return
    pattern = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", regex.removesuffix("g").strip("/")))
    for name in names:
        matches = list(pattern.finditer(name))
        named = [found for match in matches if (found := match.groupdict().get("value"))]
        if named:
            yield named[0]
        elif matches:
            yield matches[0][1] if pattern.groups else name


def _regex_escaped(value: str) -> str:
    """For a regular expression within a string of PromQL."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))
