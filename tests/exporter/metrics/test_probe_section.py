"""Probes on /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.core.groups import HistogramRow
from exporter.core.model import Wall
from exporter.core.probing import Failure, History, Phase, ProbeKindRow, ProbeRow, Result
from exporter.metrics.catalogue import probe_sections
from exporter.metrics.render import Renderer
from tests.exporter.metrics.sources import OPENMETRICS, TEXT, Listed, rendered

GOLDEN = Path(__file__).with_name("few_probes.txt")


@dataclass
class Probes:
    rows: Sequence[ProbeRow] = ()
    kind_rows: Sequence[ProbeKindRow] = ()

    def each(self) -> Sequence[ProbeRow]:
        return self.rows

    def kinds(self) -> Sequence[ProbeKindRow]:
        return self.kind_rows


def probe_row(name: str, target: str = "db:5432", last: Result | None = None, **changes: object) -> ProbeRow:
    """A probe that has not run, unless `changes` say otherwise."""
    row = ProbeRow(
        name=name,
        kind="tcp",
        target=target,
        up=None,
        since=None,
        last=last,
        runs=0,
        failures=tuple((reason, 0) for reason in Failure),
        history=History(),
    )
    return row._replace(**changes)


def few_probes() -> Probes:
    """One that knows all there can be to know, one that is down, and one that has not run."""
    answered = Result(
        at=Wall(1_700_000_000.5),
        duration=0.0125,
        failure=Failure.STATUS,
        detail="503",
        phases=(
            (Phase.RESOLVE, 0.0005),
            (Phase.CONNECT, 0.001),
            (Phase.TLS, 0.004),
            (Phase.PROCESSING, 0.0065),
            (Phase.TRANSFER, 0.0005),
        ),
        http_status=503,
        certificate_expiry=1_730_000_000.0,
    )
    refused = Result(Wall(1_700_000_001.0), 0.25, Failure.REFUSED, phases=((Phase.RESOLVE, 0.001),))
    counts = dict.fromkeys(Failure, 0)
    return Probes(
        [
            probe_row(
                "api",
                'https://api.example.org/"health"',
                answered,
                kind="https",
                up=True,
                since=Wall(1_699_999_000.0),
                runs=12,
                failures=tuple({**counts, Failure.STATUS: 2}.items()),
            ),
            probe_row(
                "db", last=refused, up=False, runs=3, failures=tuple({**counts, Failure.REFUSED: 3}.items())
            ),
            probe_row("new"),
        ],
        [
            ProbeKindRow("https", HistogramRow((0.01, 0.1), (3, 9, 0), 0.5)),
            ProbeKindRow("tcp", HistogramRow((0.01, 0.1), (0, 0, 3), 0.75)),
        ],
    )


def renderer(probes: Probes) -> Renderer:
    return Renderer(CollectorRegistry(), probe_sections(probes))


async def test_probes_come_after_the_fleet() -> None:
    """To the letter, and the text of the fleet stays what it is without them."""
    fleet = await rendered(Listed())
    assert await rendered(Listed(), TEXT, renderer(few_probes())) == fleet + GOLDEN.read_text()


async def test_both_formats_parse_to_the_same_samples() -> None:
    """OpenMetrics ends once, after the probes."""
    text = await rendered(Listed(), TEXT, renderer(few_probes()))
    openmetrics = await rendered(Listed(), OPENMETRICS, renderer(few_probes()))
    assert openmetrics.endswith("# EOF\n")
    assert [(family.name, family.samples) for family in parse_text(text)] == [
        (family.name, family.samples) for family in parse_openmetrics(openmetrics)
    ]


async def test_many_probes_stay_in_one_family_and_leave_turns_to_others() -> None:
    """Their text is written fifty at a time."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    many = Probes([probe_row(f"p{number}", up=True) for number in range(1001)])
    text = await rendered(Listed(), TEXT, renderer(many))
    busy.cancel()
    assert turns >= 1001 // 50
    (up,) = [family for family in parse_text(text) if family.name == "heartbeat_probe_up"]
    assert [sample.labels["probe"] for sample in up.samples] == [row.name for row in many.rows]
