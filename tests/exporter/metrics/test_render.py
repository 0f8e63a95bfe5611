"""From the fleet to text: what is shown, what is kept, and who is let in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from exporter.core.events import Close, Delete, Goodbye
from exporter.core.groups import Group
from exporter.core.lifecycle import POSSIBLE_CHANGES
from exporter.core.model import Connection, Reason, Row, Status, Totals, Wall, WorkerId
from exporter.metrics.exposition import Exposition
from exporter.metrics.render import Renderer
from exporter.monitor import GROUPS_A_TURN
from exporter.telemetry import Telemetry
from tests.exporter.metrics.sources import OPENMETRICS, TEXT, Listed, Watched, rendered, row, samples
from tests.support.fleets import beat, connect, facts, register
from worker_agent.protocol import CheckState, Heartbeat

GOLDEN = Path(__file__).with_name("small_fleet.txt")


def small_fleet() -> Watched:
    """One worker that is up and has told all it can tell, and one that was lost and knows nothing."""
    watched = Watched()
    watched.happen(
        register("w1", name="Worker 1", version="1.4.0", started_at=1_699_999_990.25),
        connect("w1", 1),
        beat("w1", 1),
        register("w2", name='Worker "2"', host="::1", boot_id=None),
        connect("w2", 2),
        beat("w2", 2),
    )
    watched.after(5)
    measured = Heartbeat(
        sent_at=watched.clock.now().wall,
        rtt=0.0015,
        clock_offset=0.002,
        loop_lag=0.00025,
        checks=(
            ("cache", CheckState.DEGRADED),
            ("db", CheckState.UNHEALTHY),
            ("queue", CheckState.HEALTHY),
        ),
    )
    watched.happen(beat("w1", 1, measured))
    watched.happen(Close(WorkerId("w2"), Connection(2)))
    watched.after(11.5)
    watched.happen(beat("w1", 1))
    watched.after(0.25)
    return watched


async def test_the_text_of_a_small_fleet() -> None:
    """All metrics of the fleet, its one group and its two workers, to the letter."""
    assert await rendered(small_fleet()) == GOLDEN.read_text()


async def test_openmetrics_differs_in_the_names_of_counters_and_in_its_end() -> None:
    """Every line but those is the same in both formats."""
    expected = [
        line.replace("_total ", " ", 1) if line.startswith("#") else line
        for line in GOLDEN.read_text().splitlines()
    ]
    text = await rendered(small_fleet(), OPENMETRICS)
    assert text.splitlines() == [*expected, "# EOF"]


async def test_the_exporters_own_counters_come_after_the_fleet() -> None:
    """Both are in one answer, which in OpenMetrics ends once."""
    telemetry = Telemetry(CollectorRegistry())
    text = await rendered(Listed([row()]), OPENMETRICS, Renderer(telemetry.registry))
    assert text.index("heartbeat_worker_up{") < text.index("\nheartbeat_connections_opened_total 0.0")
    assert text.count("# EOF") == 1
    assert text.endswith("# EOF\n")
    assert "_created" not in text


@pytest.mark.parametrize("status", Status)
async def test_up_is_1_exactly_while_alive(status: Status) -> None:
    """Of the statuses exactly one is 1, and only that of an alive worker goes with up."""
    text = await rendered(Listed([row(status=status)]))
    [up] = samples(text, "heartbeat_worker_up")
    assert up.endswith(" 1") is (status is Status.ALIVE)
    shown = samples(text, "heartbeat_worker_status")
    assert [line.endswith("1") for line in shown] == [each is status for each in Status]


async def test_a_check_is_up_unless_it_is_unhealthy() -> None:
    """A degraded one is up, and a series of its own says that it is degraded."""
    checks = (("a", "degraded"), ("b", "healthy"), ("c", "unhealthy"))
    text = await rendered(Listed([row(status=Status.ALIVE, checks=checks)]))
    for name, values in (("check_up", "110"), ("check_degraded", "100")):
        assert samples(text, f"heartbeat_worker_{name}") == [
            f'heartbeat_worker_{name}{{worker_id="w1",worker="W1",group="default",check="{check}"}} {value}'
            for check, value in zip("abc", values, strict=True)
        ]


async def test_a_new_group_has_every_change_that_can_happen_at_0() -> None:
    """So that the first of each kind is seen by rate() and not lost as the start of a series."""
    watched = Watched()
    watched.happen(register("w1", group="g"))
    shown = samples(await rendered(watched), "heartbeat_status_changes_total")
    assert [line.rsplit(" ", 1)[1] for line in shown] == ["1"] + ["0"] * (len(POSSIBLE_CHANGES) - 1)
    assert shown[0] == (
        'heartbeat_status_changes_total{group="g",from="none",to="registered",reason="registered"} 1'
    )


async def test_a_group_scaled_to_nothing_is_seen_as_0() -> None:
    """Its series stay until the retention time after its last worker."""
    watched = Watched()
    watched.happen(register("w1", group="g"), connect("w1", 1))
    watched.happen(Goodbye(WorkerId("w1"), Connection(1), leave=True))
    text = await rendered(watched)
    assert samples(text, "heartbeat_worker_up") == []
    assert samples(text, "heartbeat_workers") == [
        f'heartbeat_workers{{group="g",status="{status}"}} 0' for status in Status
    ]
    watched.after(86_401)
    assert samples(await rendered(watched), "heartbeat_workers") == []


async def test_a_name_without_utf8_costs_a_question_mark_and_not_the_scrape() -> None:
    """Half a surrogate pair is valid in JSON."""
    text = await rendered(Listed([row(about={"name": "half \ud83d", "group": "\ud83d"})]))
    assert samples(text, "heartbeat_worker_up") == [
        'heartbeat_worker_up{worker_id="w1",worker="half ?",group="?"} 0'
    ]


SOME_FACTS = [facts(worker_id, name=name) for worker_id in ("w1", "w2", "w3") for name in ("a", "b")]

some_rows = st.lists(
    st.builds(
        lambda known, status, reason, since, missed, restarts, checks: row()._replace(
            facts=known,
            status=status,
            reason=reason,
            since=Wall(since),
            counted=Totals(missed=missed, restarts=restarts),
            checks=checks,
        ),
        st.sampled_from(SOME_FACTS),
        st.sampled_from([Status.ALIVE, Status.DISCONNECTED]),
        st.sampled_from([Reason.SHUTDOWN, Reason.CONNECTION_LOST]),
        st.sampled_from([1.0, 2.0]),
        st.integers(0, 1),
        st.integers(0, 1),
        st.sampled_from([(), (("db", "healthy"),), (("db", "unhealthy"),)]),
    ),
    unique_by=lambda each: each.facts.worker_id,
    max_size=3,
)


@given(st.lists(some_rows, max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_is_kept_between_scrapes_is_never_seen(scrapes: list[list[Row]]) -> None:
    """Whatever came, changed or left meanwhile: a renderer says what a new one would say."""

    async def compare() -> None:
        seasoned = Renderer(CollectorRegistry())
        for rows in scrapes:
            assert await rendered(Listed(rows), TEXT, seasoned) == await rendered(Listed(rows))

    asyncio.run(compare())


async def test_two_formats_at_once_do_not_disturb_each_other() -> None:
    """Each is complete, while both replace what is kept of the scrape before."""
    renderer = Renderer(CollectorRegistry())
    source = Listed([row(f"w{number}") for number in range(500)])
    await rendered(source, TEXT, renderer)
    source.rows = [row(f"w{number}", status=Status.ALIVE) for number in range(250, 750)]
    text, openmetrics = await asyncio.gather(
        rendered(source, TEXT, renderer), rendered(source, OPENMETRICS, renderer)
    )
    assert text == await rendered(source, TEXT)
    assert openmetrics == await rendered(source, OPENMETRICS)


class Gated(Listed):
    """A source whose walk stops at a gate, and fails if it was told to."""

    def __init__(self) -> None:
        super().__init__([row()])
        self.gate = asyncio.Event()
        self.failing = False

    async def walk(self) -> AsyncIterator[Sequence[Row]]:
        async for rows in super().walk():
            await self.gate.wait()
            if self.failing:
                raise RuntimeError("no rows")
            yield rows


async def scrapes_under_way(
    renderer: Renderer, source: Gated, *accepts: str
) -> list[asyncio.Task[Exposition]]:
    tasks = [asyncio.create_task(renderer.render(source, accept)) for accept in accepts]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_scrapes_of_the_same_format_share_a_render() -> None:
    """Whoever comes while one is under way gets its answer; whoever comes later a new one."""
    renderer, source = Renderer(CollectorRegistry()), Gated()
    under_way = await scrapes_under_way(renderer, source, TEXT, TEXT, OPENMETRICS, "", OPENMETRICS)
    assert source.walks == 2
    source.gate.set()
    first, second, third, fourth, fifth = await asyncio.gather(*under_way)
    assert first is second is fourth
    assert third is fifth
    assert first is not third
    assert await renderer.render(source, TEXT) is not first
    assert source.walks == 3


async def test_a_scrape_that_gives_up_does_not_take_the_others_with_it() -> None:
    """The render goes on for those who still wait."""
    renderer, source = Renderer(CollectorRegistry()), Gated()
    impatient, patient = await scrapes_under_way(renderer, source, TEXT, TEXT)
    impatient.cancel()
    source.gate.set()
    assert (await patient).pieces
    assert impatient.cancelled()
    assert source.walks == 1


async def test_a_render_that_fails_does_not_stay() -> None:
    """Everybody who shared it is told, and the next scrape starts anew."""
    renderer, source = Renderer(CollectorRegistry()), Gated()
    source.failing = True
    under_way = await scrapes_under_way(renderer, source, TEXT, TEXT)
    source.gate.set()
    for result in await asyncio.gather(*under_way, return_exceptions=True):
        assert isinstance(result, RuntimeError)
    source.failing = False
    assert samples(await rendered(source, TEXT, renderer), "heartbeat_worker_up")


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thread works the loop turns as often as it likes, and nothing could be counted."""

    async def here(function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", here)


async def turns_of_others(work: Coroutine[object, object, object]) -> int:
    """How often somebody else was let in while this was done."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    await work
    busy.cancel()
    return turns


@pytest.mark.usefixtures("no_threads")
async def test_others_have_their_turn_between_slices() -> None:
    """Writing the text of new workers, which takes longest, is interrupted four times in a slice."""
    renderer = Renderer(CollectorRegistry())
    source = Listed()
    quiet = await turns_of_others(rendered(source, TEXT, renderer))
    source.rows = [row(f"w{number}") for number in range(1000)]
    assert await turns_of_others(rendered(source, TEXT, renderer)) - quiet >= 1000 / 50 + 1000 / 200
    assert await turns_of_others(rendered(source, TEXT, renderer)) - quiet < 1000 / 50


@pytest.mark.usefixtures("no_threads")
async def test_others_have_their_turn_between_groups_and_between_pieces() -> None:
    """A hundred groups have ten thousand lines, and those make several pieces."""
    quiet = await turns_of_others(rendered(Listed()))
    groups = [Group(f"group-{number}").row() for number in range(100)]
    assert await turns_of_others(rendered(Listed(group_rows=groups))) - quiet >= 100 / GROUPS_A_TURN + 2


@pytest.mark.usefixtures("no_threads")
async def test_others_have_their_turn_while_a_fleet_that_left_is_dropped() -> None:
    """The text that was kept of it is freed in parts."""
    renderer = Renderer(CollectorRegistry())
    source = Listed()
    quiet = await turns_of_others(rendered(source, TEXT, renderer))
    source.rows = [row(f"w{number}") for number in range(5000)]
    await rendered(source, TEXT, renderer)
    source.rows = []
    assert await turns_of_others(rendered(source, TEXT, renderer)) - quiet >= 5000 / 1000


async def test_a_deleted_worker_is_gone_with_the_next_scrape() -> None:
    """Neither a 0 nor a stale text stays behind."""
    watched = small_fleet()
    renderer = Renderer(CollectorRegistry())
    assert 'worker_id="w2"' in await rendered(watched, TEXT, renderer)
    watched.happen(Delete(WorkerId("w2")))
    assert 'worker_id="w2"' not in await rendered(watched, TEXT, renderer)
