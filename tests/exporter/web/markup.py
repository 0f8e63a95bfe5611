"""A page as a browser's checker would read it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "img", "input", "br"})
_LOADS = {"script": "src", "link": "href", "img": "src"}


class Markup(HTMLParser):
    """Collects what is wrong with a document in `problems`, its links in `links`, and its text in `text`."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self._ids: Counter[str] = Counter()
        self._referred: list[str] = []
        if not document.startswith("<!DOCTYPE html>\n"):
            self.problems.append("no document type at the very beginning")
        self.feed(document)
        self.close()
        self.problems += [f"{name} is not closed" for name in self._open]
        self.problems += [
            f"id {name} is there {count} times" for name, count in self._ids.items() if count > 1
        ]
        self.problems += [f"nothing has the id {name}" for name in self._referred if name not in self._ids]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if len(given) != len(attrs):
            self.problems.append(f"{tag} has an attribute twice")
        if tag == "svg" or tag not in _VOID:
            self._open.append(tag)
        self.problems += [f"{tag} has {name}" for name in given if name == "style" or name.startswith("on")]
        self.problems += [
            f"{tag} has an empty {name}" for name in ("href", "id", "class") if given.get(name) == ""
        ]
        if "id" in given:
            self._ids[given["id"]] += 1
        self._referred += given.get("aria-labelledby", "").split()
        if given.get("href", "").startswith("#"):
            self._referred.append(given["href"][1:])
        if tag == "a":
            self.links.append(given["href"])
        if tag in _LOADS and (tag != "script" or "src" in given):
            self.loads.append(given[_LOADS[tag]])
        if tag == "style" or (tag == "script" and "src" not in given):
            self.problems.append(f"{tag} is inline")
        if tag == "img" and "alt" not in given:
            self.problems.append("img has no alt")
        if tag == "th" and given.get("scope") not in ("col", "row"):
            self.problems.append("th has no scope")
        if tag in ("input", "select") and "label" not in self._open:
            self.problems.append(f"{tag} has no label")
        if tag == "svg" and given.get("role") != "img":
            self.problems.append("svg is no img")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "rect":
            self.problems.append(f"{tag} is closed in itself")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:]}")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(" ".join(data.split()))
