"""Which metrics and labels an expression names, and whether they exist.

PromQL is silent about names: a metric that nobody exports and a label that is not there give an
empty result, that is, an alert that never fires. Here both are problems, and so are two operands
that can never match because they have different labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import promql_parser as promql

Labels = frozenset[str]
Parents = tuple[promql.Expr, ...]

OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
SET_OPERATORS = ("and", "or", "unless")
KEEPS_SERIES = ("topk", "bottomk")


class Selector(NamedTuple):
    """One metric as an expression selects it."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, operator (`=`, `!=`, `=~`, `!~`), value."""


def selectors(expr: str) -> list[Selector]:
    """Every selector in the expression. ValueError where it does not parse."""
    found: list[Selector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(_selector(node))

    promql.walk(promql.parse(expr), visit)
    return found


def nodes(expr: promql.Expr, parents: Parents = ()) -> Iterator[tuple[promql.Expr, Parents]]:
    """Every part of an expression, itself first, each with those that it is part of, the outermost first."""
    yield expr, parents
    match expr:
        case promql.MatrixSelector():
            inner = [expr.vector_selector]
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            inner = [expr.expr]
        case promql.AggregateExpr():
            inner = [expr.expr] if expr.param is None else [expr.param, expr.expr]
        case promql.BinaryExpr():
            inner = [expr.lhs, expr.rhs]
        case promql.Call():
            inner = list(expr.args)
        case _:
            inner = []
    for part in inner:
        yield from nodes(part, (*parents, expr))


def matched_values(exprs: Iterable[str]) -> dict[str, set[str]]:
    """By label, every value that a matcher names; alternatives of a regular expression one by one."""
    values: dict[str, set[str]] = {}
    for expr in exprs:
        for selector in selectors(expr):
            for label, operator, value in selector.matchers:
                values.setdefault(label, set()).update(value.split("|") if "~" in operator else [value])
    return values


def problems(expr: str, known: Mapping[str, Labels]) -> list[str]:
    """What is wrong with the names in the expression; `known` has the labels of every metric."""
    return _Checker(known).check(expr)[1]


def labels_of(expr: str, known: Mapping[str, Labels]) -> Labels | None:
    """The labels of the result; None of a scalar."""
    return _Checker(known).check(expr)[0]


def queries(template: str) -> Iterator[str]:
    """The expressions that an alert's annotation asks for, each verb of printf replaced by a string."""
    for text in re.findall(r'query\s+(?:\(printf\s+)?"((?:[^"\\]|\\.)*)"', template):
        yield re.sub(r"%[qs]", '"x"', text)


def _selector(node: promql.VectorSelector) -> Selector:
    assert node.name is not None, f"no metric name: {node.prettify()}"
    matchers = node.matchers.matchers
    return Selector(node.name, tuple((one.name, OPERATORS[str(one.op)], one.value) for one in matchers))


class _Checker:
    """Infers the labels of every part of an expression, and notes what does not fit."""

    def __init__(self, known: Mapping[str, Labels]) -> None:
        self._known = known
        self._problems: list[str] = []

    def check(self, expr: str) -> tuple[Labels | None, list[str]]:
        labels = self._infer(promql.parse(expr))
        return labels, self._problems

    def _infer(self, node: promql.Expr) -> Labels | None:
        match node:
            case promql.VectorSelector():
                return self._select(node)
            case promql.MatrixSelector():
                return self._select(node.vector_selector)
            case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
                return self._infer(node.expr)
            case promql.AggregateExpr():
                return self._aggregate(node)
            case promql.BinaryExpr():
                return self._combine(node)
            case promql.Call():
                return self._call(node)
            case _:
                return None  # a literal

    def _select(self, node: promql.VectorSelector) -> Labels:
        selector = _selector(node)
        if selector.metric not in self._known:
            self._problems.append(f"nobody exports {selector.metric}")
            return frozenset(label for label, _, _ in selector.matchers)
        labels = self._known[selector.metric]
        self._demand((label for label, _, _ in selector.matchers), labels, selector.metric)
        return labels

    def _aggregate(self, node: promql.AggregateExpr) -> Labels:
        inner = self._infer(node.expr) or frozenset()
        if str(node.op) in KEEPS_SERIES:
            return inner
        if node.modifier is None:
            return frozenset()
        self._demand(node.modifier.labels, inner, node.expr.prettify())
        named = frozenset(node.modifier.labels)
        return named if node.modifier.type == promql.AggModifierType.By else inner - named

    def _call(self, node: promql.Call) -> Labels | None:
        arguments = [self._infer(argument) for argument in node.args]
        match node.func.name:
            case "time" | "scalar" | "pi":
                return None
            case "vector" | "absent" | "absent_over_time":
                return frozenset()
            case "histogram_quantile":
                self._demand(["le"], arguments[1] or frozenset(), node.prettify())
                return (arguments[1] or frozenset()) - {"le"}
            case "label_replace" | "label_join":
                return (arguments[0] or frozenset()) | {node.args[1].val}
            case _:
                return next((labels for labels in arguments if labels is not None), None)

    def _combine(self, node: promql.BinaryExpr) -> Labels | None:
        left, right = self._infer(node.lhs), self._infer(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        matching = node.modifier.matching if node.modifier else None
        text = node.prettify()
        if matching is None:
            if left != right:
                self._problems.append(f"{_listed(left)} never match {_listed(right)}: {text}")
            return left
        named = frozenset(matching.labels)
        if matching.type == promql.LabelModifierType.Include:
            self._demand(named, left, node.lhs.prettify())
            self._demand(named, right, node.rhs.prettify())
            shared = named
        else:
            self._demand(named, left | right, text)
            shared = left - named
            if shared != right - named:
                self._problems.append(f"{_listed(shared)} never match {_listed(right - named)}: {text}")
        if str(node.op) in SET_OPERATORS:
            return left
        match node.modifier.card:
            case promql.VectorMatchCardinality.ManyToOne:
                return left | frozenset(node.modifier.group_labels or ())
            case promql.VectorMatchCardinality.OneToMany:
                return right | frozenset(node.modifier.group_labels or ())
            case _:
                return shared

    def _demand(self, named: Iterable[str], labels: Labels, of: str) -> None:
        for label in sorted(set(named) - labels):
            self._problems.append(f"no label {label} on {of}")


def _listed(labels: Labels) -> str:
    return f"({', '.join(sorted(labels))})"
