"""A YAML file as plain data that still knows on which line each of its parts is.

Scalars are those of YAML 1.2, as editors and schema checkers read them: `on` and `yes` are strings, only
`true` and `false` are booleans, and neither dates nor sexagesimal numbers are guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml

Path = Sequence[str | int]


class Fault(NamedTuple):
    """Something that makes a file no document; `path` is empty where only the line is known."""

    path: tuple[str | int, ...]
    line: int
    expected: str


class NoDocument(ValueError):
    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults


_STRING = "tag:yaml.org,2002:str"
_TAGS = {
    _STRING,
    *(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "merge", "seq", "map")),
}


class _Loader(yaml.SafeLoader):
    """The safe loader with its own table of scalars, and with keys that are always strings."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
            for key, _ in node.value:
                key.tag = _STRING
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


class Document:
    """The data of a file, and the line (from 1) of each place in it."""

    def __init__(self, data: Any, root: yaml.Node | None) -> None:
        self.data = data
        self._root = root

    def line(self, path: Path) -> int:
        """The line of the key or item at a path; of what is not there, that of what should hold it."""
        if self._root is None:
            return 1
        node, line = self._root, self._root.start_mark.line
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line + 1


def parse(text: str) -> Document:
    """Read one document.

    Raises:
        NoDocument: it is not YAML, a key is given twice, or a part holds itself.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        faults = tuple(_faults(root, (), set(), ())) if root else ()
        if faults:
            raise NoDocument(faults)
        return Document(loader.construct_document(root) if root else None, root)
    except RecursionError:
        raise NoDocument((Fault((), 1, "is nested too deeply"),)) from None
    except (KeyError, ValueError) as error:
        if isinstance(error, NoDocument):
            raise
        # Only a number of thousands of digits, or a tag that does not fit, gets this far.
        raise NoDocument((Fault((), 1, "holds a value that cannot be read"),)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(filter(None, [error.context, error.problem])) or "cannot be read as YAML"
        raise NoDocument((Fault((), mark.line + 1 if mark else 1, f"is not valid YAML: {said}"),)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NoDocument((Fault((), line, f"is not valid YAML: {error.reason}"),)) from None


def _faults(
    node: yaml.Node, path: tuple[str | int, ...], seen: set[int], above: tuple[int, ...]
) -> Iterator[Fault]:
    if id(node) in above:
        yield Fault(path, node.start_mark.line + 1, "must not hold itself")
    if id(node) in seen:
        return
    seen.add(id(node))
    above = (*above, id(node))
    if node.tag not in _TAGS:
        yield Fault(path, node.start_mark.line + 1, f"must not have a tag ({node.tag})")
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield Fault(path, line, "must have names as its keys")
                continue
            inner = (*path, key.value)
            if key.value in first:
                yield Fault(inner, line, f"is given twice, first in line {first[key.value]}")
            first.setdefault(key.value, line)
            yield from _faults(value, inner, seen, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _faults(value, (*path, index), seen, above)


def _child(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line and node of a key or an index; a key given again by a merge counts where it is last."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(step):
                return key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
