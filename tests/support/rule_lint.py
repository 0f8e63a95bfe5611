"""What is wrong with a Prometheus rule that Prometheus itself accepts.

In the spirit of cloudflare/pint: a check is a function in CHECKS that takes a rule and what is around it and
yields problems. Names of metrics and labels are the matter of promql.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import yaml

from tests.support.promql import Labels, labels_of, nodes, queries, selectors

RUNBOOKS = "https://github.com/heartbeat-exporter/heartbeat-exporter/blob/main/docs/alerts.md#"

SEVERITIES = frozenset({"critical", "warning", "info", "none"})
"""What routes and receivers know."""

LEVELS: Mapping[str, Labels] = {
    "worker": frozenset({"worker_id", "worker", "group"}),
    "group": frozenset({"group"}),
    "probe": frozenset({"probe", "target"}),
    "action": frozenset({"action", "kind"}),
    "fleet": frozenset(),
}
"""What a recorded series can be of, and the labels that tell one from another."""

WHOLE = tuple(labels for labels in LEVELS.values() if len(labels) > 1)
"""Labels of which none is there without the others: notifications are grouped, muted and titled by them."""

OF_A_TARGET = frozenset({"instance", "job"})

GROUP_KEYS = frozenset({"name", "interval", "limit", "rules"})
RULE_KEYS = frozenset({"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"})


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


AGGREGATIONS = _words("sum min max avg group stddev stdvar count count_values bottomk topk quantile")
FUNCTIONS = _words(
    """abs absent absent_over_time avg_over_time ceil changes clamp clamp_max clamp_min count_over_time
    day_of_month day_of_week day_of_year days_in_month delta deriv exp floor histogram_quantile hour idelta
    increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute
    month predict_linear present_over_time quantile_over_time rate resets round scalar sgn sort sort_desc
    sqrt stddev_over_time stdvar_over_time sum_over_time time timestamp vector year"""
)
"""Those of Prometheus 2.42 that 3.x has too, without what nobody asks of heartbeats."""
TEMPLATE_WORDS = _words(
    """if else end range with and or not eq ne lt le gt ge len index print printf println args externalURL
    first graphLink humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp label match
    parseDuration pathPrefix query reReplaceAll safeHtml sortByLabel stripDomain stripPort strvalue tableLink
    title toLower toTime toUpper value"""
)


class Written(NamedTuple):
    """A rule as it is written: its keys, its group's keys, and the comments in it and right above it."""

    keys: Mapping[str, Any]
    group: Mapping[str, Any]
    comments: tuple[str, ...]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.keys

    @property
    def name(self) -> str:
        return str(self.keys.get("alert") or self.keys["record"])

    @property
    def expr(self) -> str:
        return str(self.keys["expr"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.keys.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.keys.get("annotations") or {}


class Cases(NamedTuple):
    """What the rules' tests show."""

    fires: frozenset[tuple[str, str]]
    """Name and severity of alerts that some test sees fire."""
    silent: frozenset[str]
    """Names of alerts that some test sees silent."""


class Surroundings(NamedTuple):
    """What a rule is judged by besides itself."""

    known: Mapping[str, Labels]
    cases: Cases
    runbooks: frozenset[str]
    """The anchors of docs/alerts.md."""


def written_rules(text: str) -> list[Written]:
    """The rules of a file, in order."""
    lines = text.splitlines()
    found = []
    for group in yaml.compose(text, yaml.SafeLoader).value[0][1].value:
        keys = yaml.safe_load(yaml.serialize(group))
        (rules,) = (value for key, value in group.value if key.value == "rules")
        for node, rule in zip(rules.value, keys["rules"], strict=True):
            # A node ends where the next one begins, behind the comment that is about that one.
            inside = lines[node.start_mark.line : node.end_mark.line]
            while not inside[-1].strip() or _is_comment(inside[-1]):
                inside.pop()
            above = node.start_mark.line
            while above and _is_comment(lines[above - 1]):
                above -= 1
            near = [*lines[above : node.start_mark.line], *inside]
            found.append(Written(rule, keys, tuple(line for line in near if _is_comment(line))))
    return found


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def shown_cases(files: Iterable[Path]) -> Cases:
    """What these files of promtool's unit tests expect of alerts."""
    expectations = [
        expectation
        for path in files
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for expectation in test.get("alert_rule_test", [])
    ]
    return Cases(
        frozenset(
            (expectation["alertname"], alert["exp_labels"]["severity"])
            for expectation in expectations
            for alert in expectation.get("exp_alerts", [])
        ),
        frozenset(
            expectation["alertname"] for expectation in expectations if not expectation.get("exp_alerts")
        ),
    )


def anchors(markdown: str) -> frozenset[str]:
    """Those of a page's headings, as GitHub makes them of words without punctuation."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return frozenset(heading.strip().lower().replace(" ", "-") for heading in headings)


def tested(rule: Written, around: Surroundings) -> Iterator[str]:
    """An alert fires in one test, by its severity, and is silent in another, unless it never is."""
    if not rule.is_alert:
        return
    if (rule.name, rule.labels.get("severity")) not in around.cases.fires:
        yield "no test sees it fire"
    if rule.name not in around.cases.silent and selectors(rule.expr):
        yield "no test sees it silent"


def reasoned(rule: Written, _: Surroundings) -> Iterator[str]:
    """Who waits says why, in a comment."""
    for wait in ("for", "keep_firing_for"):
        if wait in rule.keys and not rule.comments:
            yield f"no comment says why {wait} is {rule.keys[wait]}"


def robust(rule: Written, around: Surroundings) -> Iterator[str]:
    """Another exporter, target or label changes neither which series there are nor which of them match."""
    for node, _ in nodes(promql.parse(rule.expr)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            if node.modifier.type == promql.AggModifierType.Without:
                yield f"aggregates without, so by labels that somebody may add: {node.prettify()}"
        elif isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
            matching = node.modifier.matching
            if matching.type == promql.LabelModifierType.Include and OF_A_TARGET & {*matching.labels}:
                yield f"matches by target: {node.prettify()}"
    labels = labels_of(rule.expr, around.known) or frozenset()
    if "instance" in labels:
        yield "keeps instance: another exporter makes another series"
    if "job" in labels and not all(
        any(label == "job" and operator == "=" for label, operator, _ in selector.matchers)
        for selector in selectors(rule.expr)
    ):
        yield "keeps job, and does not say which"
    for whole in WHOLE:
        if labels & (whole - {"group", "kind"}) and not whole <= labels:
            yield f"drops {', '.join(sorted(whole - labels))}"


def explained(rule: Written, around: Surroundings) -> Iterator[str]:
    """A summary that alerts of a name share, a description, and a runbook that is there."""
    if not rule.is_alert:
        return
    for name in sorted(rule.annotations.keys() ^ {"summary", "description", "runbook_url"}):
        yield f"no receiver shows {name}" if name in rule.annotations else f"no {name}"
    if not re.fullmatch(r"[A-Z][^{}]*\.", rule.annotations.get("summary", "S.")):
        yield "its summary is no sentence that is the same for all of its alerts"
    page, _, anchor = rule.annotations.get("runbook_url", RUNBOOKS + rule.name.lower()).partition("#")
    if f"{page}#" != RUNBOOKS or anchor != rule.name.lower() or anchor not in around.runbooks:
        yield f"no runbook of its own at {page}#{anchor}"


def labelled(rule: Written, around: Surroundings) -> Iterator[str]:
    """What its text prints, the alert has."""
    labels = (labels_of(rule.expr, around.known) or frozenset()) | rule.labels.keys()
    used = re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values()))
    for label in sorted({*used} - labels):
        yield f"its text uses {label}, which it has not"


def named(rule: Written, around: Surroundings) -> Iterator[str]:
    """A recording is level:metric:operations, and has the labels of its level; an alert is in CamelCase."""
    if rule.is_alert:
        if not re.fullmatch(r"(Heartbeat([A-Z][a-z]+)+|Watchdog)", rule.name):
            yield "its name is not HeartbeatInCamelCase"
        return
    found = re.fullmatch(r"([a-z]+):[a-z][a-z0-9_]*:[a-z][a-z0-9_]*", rule.name)
    if not found or found[1] not in LEVELS:
        yield "its name is not level:metric:operations"
    elif missing := LEVELS[found[1]] - (labels_of(rule.expr, around.known) or frozenset()):
        yield f"has no {', '.join(sorted(missing))}, as what is of a {found[1]} has"


def severe(rule: Written, _: Surroundings) -> Iterator[str]:
    """An alert has a severity that receivers know; a recording has none, and neither has other labels."""
    if {*rule.labels} != ({"severity"} if rule.is_alert else set()):
        yield f"sets the labels ({', '.join(sorted(rule.labels))})"
    elif rule.is_alert and rule.labels["severity"] not in SEVERITIES:
        yield f"its severity is {rule.labels['severity']}"


def old_enough(rule: Written, _: Surroundings) -> Iterator[str]:
    """Prometheus 2.42 knows its keys, functions, aggregations, and the words of its templates."""
    for key in sorted({*rule.group} - GROUP_KEYS | {*rule.keys} - RULE_KEYS):
        yield f"Prometheus 2.42 has no {key}"
    annotations = rule.annotations.values()
    for expr in (rule.expr, *(query for annotation in annotations for query in queries(annotation))):
        for node, _parents in nodes(promql.parse(expr)):
            if isinstance(node, promql.Call) and node.func.name not in FUNCTIONS:
                yield f"Prometheus 2.42 has no {node.func.name}()"
            elif isinstance(node, promql.AggregateExpr) and str(node.op) not in AGGREGATIONS:
                yield f"Prometheus 2.42 has no {node.op}()"
    for action in re.findall(r"\{\{(.*?)\}\}", " ".join(annotations), re.DOTALL):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", action)
        for word in sorted({*re.findall(r"(?<![\w.$])[A-Za-z]\w*", bare)} - TEMPLATE_WORDS):
            yield f"templates of Prometheus 2.42 have no {word}"


CHECKS: tuple[Callable[[Written, Surroundings], Iterator[str]], ...] = (
    tested,
    reasoned,
    robust,
    explained,
    labelled,
    named,
    severe,
    old_enough,
)


def lint(rule: Written, around: Surroundings) -> list[tuple[str, str]]:
    """Check and problem, of all that is wrong with the rule."""
    return [(check.__name__, problem) for check in CHECKS for problem in check(rule, around)]
