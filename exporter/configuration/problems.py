"""What is wrong with a YAML file, in words for people who read the file and not the program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from exporter.configuration.document import Document, Fault
from exporter.configuration.model import Place, Problem

Step = str | int


def dotted(path: Sequence[Step]) -> str:
    """`("probes", "api", "status", 0)` as `probes.api.status[0]`; what is no plain word stands in quotes."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_word(step)}" for step in path)
    return text.removeprefix(".")


def _word(step: str) -> str:
    return step if step.isprintable() and not re.search(r"[\s.\"]|^$", step) else json.dumps(step)


def place(path: Sequence[Step], line: int) -> Place:
    return Place(f"{dotted(path)} (line {line})" if path else f"line {line}")


def of_fault(fault: Fault) -> Problem:
    return Problem(place(fault.path, fault.line), fault.expected)


def suggestion(word: object, known: Sequence[str]) -> str:
    """` (did you mean NAME?)` where one of the known names is close, else nothing."""
    names = {name.casefold(): name for name in known}
    near = get_close_matches(str(word).casefold(), names, n=1, cutoff=0.7)
    return f" (did you mean {names[near[0]]}?)" if near else ""


def of_validation(
    error: ValidationError, document: Document, schema: Mapping[str, Any]
) -> tuple[Problem, ...]:
    """One problem per place, in the order of the file."""
    found: dict[tuple[Step, ...], list[str]] = {}
    for detail in error.errors(include_url=False):
        path, known = _walked(detail["loc"], document.data, schema)
        if detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
        elif detail["type"] == "union_tag_invalid":
            path = (*path, "type")
        said = found.setdefault(path, [])
        expected = sentence(detail, known)
        # The branches of a union each say what they would take.
        if expected not in said:
            said.append(expected)
    paths = sorted(found, key=document.line)
    return tuple(Problem(place(path, document.line(path)), " or ".join(found[path])) for path in paths)


def _walked(
    location: Sequence[Step], data: Any, schema: Mapping[str, Any]
) -> tuple[tuple[Step, ...], list[str]]:
    """The path in the file of a location in the models, where branches of unions are steps as well; and the
    keys that are known beside the last one of it."""
    path: list[Step] = []
    known: list[str] = []
    nodes: Sequence[Mapping[str, Any]] = [schema]
    for step in location:
        branches = list(_branches(nodes, schema))
        chosen = [branch["discriminator"]["mapping"].get(step) for branch in branches if _is_tagged(branch)]
        if any(chosen):
            nodes = [{"$ref": reference} for reference in chosen if reference]
            continue
        known = sorted({key for branch in branches for key in branch.get("properties", {})})
        if _holds(data, step):
            data = data[step]
            path.append(step)
            nodes = [child for branch in branches for child in _children(branch, step)]
    return tuple(path), known


def _holds(data: Any, step: Step) -> bool:
    return step in data if isinstance(data, dict) else isinstance(data, list) and isinstance(step, int)


def _is_tagged(node: Mapping[str, Any]) -> bool:
    """Whether it is a union in which one key, such as `type`, says which branch is meant."""
    return "discriminator" in node


def _branches(nodes: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The nodes with references followed and alternatives laid side by side."""
    for node in nodes:
        if "$ref" in node:
            yield from _branches([schema["$defs"][node["$ref"].rpartition("/")[2]]], schema)
        elif _is_tagged(node):
            yield node
        else:
            yield node
            yield from _branches([*node.get("anyOf", ()), *node.get("oneOf", ())], schema)


def _children(node: Mapping[str, Any], step: Step) -> Iterator[Mapping[str, Any]]:
    if step in node.get("properties", {}):
        yield node["properties"][step]
    elif isinstance(step, int):
        yield from [node["items"]] if "items" in node else []
    else:
        # How it is written that any name will do depends on what is asked of the name.
        yield from node.get("patternProperties", {}).values()
        if isinstance(node.get("additionalProperties"), dict):
            yield node["additionalProperties"]


_SENTENCES = {
    "missing": "must be given",
    "model_type": "must be keys with values",
    "model_attributes_type": "must be keys with values",
    "dict_type": "must be keys with values",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "must have no control characters",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    "union_tag_not_found": "must have a type",
}


def sentence(detail: ErrorDetails, known: Sequence[str] = ()) -> str:
    """What is expected, of which other keys are known at the same place."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is not known here{suggestion(detail['loc'][-1], known)}"
    if kind == "string_type" and isinstance(detail["input"], int | float):
        return "must be a text: put it in quotes"
    if kind == "union_tag_invalid":
        kinds = [name.strip("'") for name in context["expected_tags"].split(", ")]
        return f"must be {', '.join(kinds[:-1])} or {kinds[-1]}{suggestion(context['tag'], kinds)}"
    return _SENTENCES.get(kind, "{message}").format(
        message=detail["msg"], **{key: _plain(value) for key, value in context.items()}
    )


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
