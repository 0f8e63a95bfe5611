"""The check of names itself: it has to find what is wrong."""

from __future__ import annotations

import pytest

from tests.support.promql import Selector, labels_of, matched_values, problems, queries, selectors

KNOWN = {
    "worker_up": frozenset({"worker", "group", "instance"}),
    "worker_since": frozenset({"worker", "group", "instance"}),
    "worker_reason": frozenset({"worker", "group", "instance", "reason"}),
    "latency_bucket": frozenset({"group", "instance", "le"}),
    "target_up": frozenset({"instance"}),
}


def test_selectors_are_found_wherever_they_are() -> None:
    """In ranges, subqueries, arguments and operands."""
    expr = 'rate(a_total{x="1"}[5m]) + on () max_over_time(b[5m:1m]) unless topk(3, -c{y!~"2|3"})'
    assert selectors(expr) == [
        Selector("a_total", (("x", "=", "1"),)),
        Selector("b", ()),
        Selector("c", (("y", "!~", "2|3"),)),
    ]


def test_values_of_matchers_are_collected_by_label() -> None:
    """The alternatives of a regular expression count one by one."""
    assert matched_values(['a{x="1"}', 'b{x=~"2|3", y!="4"}']) == {"x": {"1", "2", "3"}, "y": {"4"}}


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("worker_up", {"worker", "group", "instance"}),
        ("max by (group) (worker_up)", {"group"}),
        ("max without (instance) (worker_up)", {"worker", "group"}),
        ("count(worker_up)", set()),
        ("topk(2, worker_up)", {"worker", "group", "instance"}),
        ("histogram_quantile(0.9, sum by (group, le) (rate(latency_bucket[5m])))", {"group"}),
        ("worker_reason * ignoring (reason) group_left () worker_since", {*KNOWN["worker_reason"]}),
        ("worker_since * ignoring (reason) group_right () worker_reason", {*KNOWN["worker_reason"]}),
        ("worker_up * on (worker) group_left (reason) worker_reason", {*KNOWN["worker_up"], "reason"}),
        ("sum by (worker) (worker_up) / on (worker) sum by (worker) (worker_since)", {"worker"}),
        ("worker_up and on (instance) target_up == 1", {"worker", "group", "instance"}),
        ("absent(target_up) or vector(0)", set()),
        ("(worker_since > time() - 900)", {"worker", "group", "instance"}),
        ("-max_over_time(worker_up[5m:1m])", {"worker", "group", "instance"}),
    ],
)
def test_labels_of_the_result_are_inferred(expr: str, labels: set[str]) -> None:
    """As Prometheus would make them, and without complaint."""
    assert (labels_of(expr, KNOWN), problems(expr, KNOWN)) == (frozenset(labels), [])


@pytest.mark.parametrize("expr", ["1 + 1", "time()", "scalar(target_up)"])
def test_a_scalar_has_no_labels(expr: str) -> None:
    """Which is not the same as an empty set of them."""
    assert labels_of(expr, KNOWN) is None


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("rate(nothing[5m])", "nobody exports nothing"),
        ('worker_up{pod="a"}', "no label pod on worker_up"),
        ("sum by (pod) (worker_up)", "no label pod on worker_up"),
        ("worker_up and on (group) target_up", "no label group on target_up"),
        ("target_up and on (group) worker_up", "no label group on target_up"),
        (
            "worker_up unless target_up",
            "(group, instance, worker) never match (instance): worker_up unless target_up",
        ),
        (
            "worker_up - ignoring (reason) target_up",
            "(group, instance, worker) never match (instance): worker_up - ignoring (reason) target_up",
        ),
        ("histogram_quantile(0.9, target_up)", "no label le on histogram_quantile(0.9, target_up)"),
    ],
)
def test_names_that_do_not_exist_are_found(expr: str, problem: str) -> None:
    """Each of these would be an alert that never fires."""
    assert problem in problems(expr, KNOWN)


def test_queries_in_annotations_are_found() -> None:
    """With or without printf."""
    template = """
        {{ with query "min(worker_up)" }}{{ . | first | value }}{{ end }}
        {{ range query (printf "worker_up{worker=%q, group=%s}" $labels.worker $group) }}{{ end }}
    """
    assert list(queries(template)) == ["min(worker_up)", 'worker_up{worker="x", group="x"}']
