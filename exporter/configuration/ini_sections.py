"""The sections of an INI file, and the lines on which its keys are."""

from __future__ import annotations

import re
from configparser import MissingSectionHeaderError, ParsingError, RawConfigParser

from exporter.configuration.model import Place, Problem

DEFAULT = "DEFAULT"

_SECTION = re.compile(r"\[(.+)\]")
_COMMENT = re.compile(r"(^|\s);.*|^\s*#.*")
_KEY = re.compile(r"(\s*)([^=:#;\s][^=:]*?)\s*[=:]")


class Unreadable(ValueError):
    """It is no INI file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems


class Sections:
    """What each section says, keys in lower case; of what is given again, the last counts.

    Raises Unreadable.
    """

    def __init__(self, text: str) -> None:
        # Raw, because a % in a path or a command is a %. `[DEFAULT]` is a section like the others: what it
        # says is meant for some of them only.
        parser = RawConfigParser(strict=False, inline_comment_prefixes=(";",), default_section="")
        try:
            parser.read_string(text)
        except MissingSectionHeaderError as error:
            raise Unreadable((_at(error.lineno, "must begin with a section such as [general]"),)) from None
        except ParsingError as error:
            said = "must be a [section], or key = value"
            raise Unreadable(tuple(_at(line, said) for line, _ in error.errors)) from None
        self._values = {name: dict(parser.items(name)) for name in parser.sections()}
        self._lines: dict[tuple[str, str], int] = {}
        self.repeated: list[tuple[str, str]] = []
        """Section and key of what is given again."""
        self._find_lines(text)

    def names(self) -> list[str]:
        return list(self._values)

    def own(self, section: str) -> dict[str, str]:
        """What a section says itself; nothing where there is none."""
        return dict(self._values.get(section, {}))

    def of(self, section: str) -> dict[str, str]:
        """The same with what `[DEFAULT]` adds."""
        return self.own(DEFAULT) | self.own(section)

    def place(self, section: str, key: str = "") -> Place:
        """Where a section has a key: its own, or that of `[DEFAULT]`; where there is none, the section."""
        for name in (section, DEFAULT):
            if key and key in self.own(name):
                return Place(f"[{name}] {key} (line {self.line(section, key)})")
        return Place(f"[{section}] {key}".rstrip() + f" (line {self.line(section)})")

    def line(self, section: str, key: str = "") -> int:
        """The line of the same place."""
        places = ((section, key), (DEFAULT, key), (section, "")) if key else ((section, ""),)
        return next((self._lines[place] for place in places if place in self._lines), 1)

    def _find_lines(self, text: str) -> None:
        section = ""
        for number, commented in enumerate(text.split("\n"), start=1):
            line = _COMMENT.sub("", commented)
            if header := _SECTION.match(line):
                section = header[1]
                self._lines.setdefault((section, ""), number)
            elif found := _KEY.match(line):
                where = section, found[2].lower()
                # What is indented may be the next line of a value, whatever it looks like.
                if where in self._lines and found[1]:
                    continue
                if where in self._lines:
                    self.repeated.append(where)
                self._lines[where] = number


def _at(line: int, expected: str) -> Problem:
    return Problem(Place(f"line {line}"), expected)
