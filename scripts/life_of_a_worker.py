"""Write docs/life.svg and the table in docs/life.md, made from the transition table; `make docs` runs it.

Where the boxes stand and how far a line bends is set by hand below. What there is to draw is not: a line for
each change that exporter/core/lifecycle.py allows, other than those that every status has in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

from exporter.core.lifecycle import BIRTH, POSSIBLE_CHANGES, TRANSITIONS, Move, Outcome, Trigger
from exporter.core.model import Reason, Status

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "life.md"
PICTURE = ROOT / "docs" / "life.svg"

WIDTH, HEIGHT = 1000, 570
BOX = (168, 54)
FORGOTTEN = None

Pair = tuple[Status | None, Status | None]


class Box(NamedTuple):
    x: float
    y: float
    colour: str
    below: str


BOXES: Mapping[Status, Box] = {
    Status.REGISTERED: Box(150, 110, "#56b4e9", "pending"),
    Status.CONNECTED: Box(480, 110, "#56b4e9", "pending"),
    Status.ALIVE: Box(850, 110, "#009e73", "up"),
    Status.NOT_RESPONDING: Box(300, 440, "#d55e00", "down"),
    Status.DISCONNECTED: Box(850, 440, "#e69f00", "down"),
}

BENDS: Mapping[Pair, tuple[float, float]] = {
    (Status.REGISTERED, Status.NOT_RESPONDING): (0, 0.4),
    (Status.CONNECTED, Status.NOT_RESPONDING): (12, 0.34),
    (Status.NOT_RESPONDING, Status.CONNECTED): (26, 0.3),
    (Status.ALIVE, Status.NOT_RESPONDING): (-8, 0.58),
    (Status.NOT_RESPONDING, Status.ALIVE): (-42, 0.4),
    (Status.CONNECTED, Status.DISCONNECTED): (44, 0.48),
    (Status.DISCONNECTED, Status.CONNECTED): (-8, 0.2),
    (Status.DISCONNECTED, Status.NOT_RESPONDING): (0, 0.4),
}
"""How far a line bends to its left, and where on it the reasons stand; else straight, in the middle."""


def changes() -> Mapping[Pair, list[Reason]]:
    """The reasons of each change from one status to another, or to being forgotten."""
    found: dict[Pair, list[Reason]] = {}
    for before, after, reason in POSSIBLE_CHANGES:
        found.setdefault((before, after), []).append(reason)
    return found


def common() -> Mapping[Status | None, list[Reason]]:
    """What can happen in every status alike: where it leads to, and why."""
    shared = [
        {(after, reason) for before, after, reason in POSSIBLE_CHANGES if before is status}
        for status in Status
    ]
    found: dict[Status | None, list[Reason]] = {}
    for after, reason in sorted(set.intersection(*shared), key=lambda change: list(Reason).index(change[1])):
        found.setdefault(after, []).append(reason)
    return found


def single() -> Mapping[Pair, list[Reason]]:
    """The changes that are left: those that are a line of their own."""
    shared = common()
    found = {
        pair: [reason for reason in reasons if reason not in shared.get(pair[1], [])]
        for pair, reasons in changes().items()
        if pair[0] is not None
    }
    return {pair: reasons for pair, reasons in found.items() if reasons}


def picture() -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            ' font-family="system-ui, sans-serif" font-size="15" text-anchor="middle">',
            "<title>The statuses of a worker, and why one follows another</title>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"'
            ' orient="auto"><path d="M0 0 10 5 0 10z" fill="#444"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
            *_paths(),
            *_labels(),
            *(_box(status, box) for status, box in BOXES.items()),
            *_legend(),
            "</svg>",
            "",
        ]
    )


class Curve(NamedTuple):
    start: tuple[float, float]
    control: tuple[float, float]
    end: tuple[float, float]

    def at(self, share: float) -> tuple[float, float]:
        rest = 1 - share
        x, y = (
            rest * rest * a + 2 * rest * share * b + share * share * c
            for a, b, c in zip(self.start, self.control, self.end, strict=True)
        )
        return x, y


def _curve(pair: Pair) -> Curve:
    before, after = pair
    assert before is not None
    assert after is not None
    a, b = BOXES[before], BOXES[after]
    bend = BENDS.get(pair, (0, 0))[0]
    length = ((b.x - a.x) ** 2 + (b.y - a.y) ** 2) ** 0.5
    left = ((b.y - a.y) / length, (a.x - b.x) / length)
    middle = ((a.x + b.x) / 2 + 2 * bend * left[0], (a.y + b.y) / 2 + 2 * bend * left[1])
    # There and back leave a box side by side.
    aside = 14.0 if (after, before) in single() else 0.0
    shift = (aside * left[0], aside * left[1])
    return Curve(_border(a, middle, shift), middle, _border(b, middle, shift))


def _border(box: Box, towards: tuple[float, float], shift: tuple[float, float]) -> tuple[float, float]:
    """Where the line from a box towards a point leaves it."""
    x, y = towards[0] - box.x, towards[1] - box.y
    share = min(side / 2 / abs(way) for side, way in zip(BOX, (x, y), strict=True) if way)
    flat = abs(y) * BOX[0] > abs(x) * BOX[1]  # it leaves at the top or at the bottom
    moved = (share * x + (shift[0] if flat else 0), share * y + (0 if flat else shift[1]))
    # Past a corner it would begin in the air.
    right, down = (max(-side / 2, min(side / 2, way)) for side, way in zip(BOX, moved, strict=True))
    return box.x + right, box.y + down


def _paths() -> Iterator[str]:
    for pair in single():
        curve = _curve(pair)
        (x1, y1), (cx, cy), (x2, y2) = curve
        yield (
            f'<path d="M{x1:.0f} {y1:.0f}Q{cx:.0f} {cy:.0f} {x2:.0f} {y2:.0f}" fill="none" stroke="#444"'
            ' stroke-width="1.5" marker-end="url(#tip)"/>'
        )
    start = BOXES[Status.REGISTERED]
    top = start.y - BOX[1] / 2
    yield f'<circle cx="{start.x:.0f}" cy="{top - 50:.0f}" r="7" fill="#444"/>'
    yield (
        f'<path d="M{start.x:.0f} {top - 43:.0f}V{top:.0f}" stroke="#444" stroke-width="1.5"'
        ' marker-end="url(#tip)"/>'
    )


def _labels() -> Iterator[str]:
    for pair, reasons in single().items():
        x, y = _curve(pair).at(BENDS.get(pair, (0, 0.5))[1])
        yield from _text(x, y, [reason.value for reason in reasons])
    start = BOXES[Status.REGISTERED]
    assert BIRTH.reason is not None
    yield from _text(start.x + 55, start.y - BOX[1] / 2 - 22, [BIRTH.reason.value])


def _text(x: float, y: float, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        at = y + 5 + 17 * (number - (len(lines) - 1) / 2)
        yield (
            f'<text x="{x:.0f}" y="{at:.0f}" stroke="#fff" stroke-width="5" paint-order="stroke"'
            f' fill="#222">{escape(line)}</text>'
        )


def _box(status: Status, box: Box) -> str:
    width, height = BOX
    return (
        f'<rect x="{box.x - width / 2:.0f}" y="{box.y - height / 2:.0f}" width="{width}" height="{height}"'
        f' rx="8" fill="#fff" stroke="{box.colour}" stroke-width="4"/>'
        f'<text x="{box.x:.0f}" y="{box.y - 1:.0f}" font-weight="bold" fill="#222">{status.value}</text>'
        f'<text x="{box.x:.0f}" y="{box.y + 17:.0f}" font-size="13" fill="#555">{box.below}</text>'
    )


def _legend() -> Iterator[str]:
    lines = [
        f"From every status: to {'being forgotten' if after is FORGOTTEN else after.value}"
        f" ({', '.join(reasons)})"
        for after, reasons in common().items()
    ]
    for number, line in enumerate(lines):
        y = HEIGHT - 22 * (len(lines) - number)
        yield f'<text x="{WIDTH / 2:.0f}" y="{y}" fill="#222">{line}</text>'


def table() -> str:
    """Every status and every event: what becomes of the worker."""
    head = [
        f"| what happens | {' | '.join(f'`{status.value}`' for status in Status)} |",
        "|---" * (len(Status) + 1) + "|",
    ]
    rows = [
        f"| {trigger.value} | {' | '.join(_cell(TRANSITIONS[status][trigger]) for status in Status)} |"
        for trigger in Trigger
    ]
    return "\n".join([*head, *rows]) + "\n"


def _cell(outcome: Outcome) -> str:
    if not isinstance(outcome, Move):
        return "" if outcome.value == "ignore" else "stays"
    to = "*forgotten*" if outcome.to is None else f"`{outcome.to.value}`"
    return f"{to}, {'as before' if outcome.reason is None else outcome.reason.value}"


def page(text: str) -> str:
    """The page with the table in its place."""
    begin, end = "<!-- Written by `make docs` from exporter/core/lifecycle.py. -->\n", "\n<!-- End. -->"
    made, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table()}{end}", text, flags=re.DOTALL
    )
    assert count == 1, f"{PAGE.name} has no single place for the table"
    return made


def main() -> None:
    PICTURE.write_text(picture())
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
