"""The registries of several processes as one, each process played by an object (tests.support.siblings)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import eventually, program
from tests.support.siblings import Sibling
from worker_agent.instrumentation.merged import Publisher
from worker_agent.slots import Kind


class Beats:
    """A collector as the agent has one: it counts, and it says how things are."""

    def __init__(self, beats: float = 0, connected: float = 1) -> None:
        self.beats = beats
        self.connected = connected

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("beats", "Beats.", value=self.beats)
        yield GaugeMetricFamily("connected", "Connected.", value=self.connected)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the siblings live."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


def test_everything_at_once(directory: Path) -> None:
    """One answer for all processes, each family once, whichever process gives it."""
    first, second = Sibling(directory), Sibling(directory)
    for number, sibling in enumerate((first, second), 1):
        sibling.registry.register(Beats(beats=10 * number, connected=number - 1))
        sibling.metric(Counter, "orders").inc(number)
        sibling.metric(Gauge, "open_orders", multiprocess_mode="livesum").set(number)
        sibling.metric(Gauge, "size").set(number)
        sibling.metric(Histogram, "took_seconds", buckets=(1.0,)).observe(number)
        sibling.metric(Info, "build").info({"version": "7"})
        sibling.merged.publish()
    expected = """\
# HELP beats_total Beats.
# TYPE beats_total counter
beats_total 30.0
# HELP build_info Help of build.
# TYPE build_info gauge
build_info{slot="0",version="7"} 1.0
build_info{slot="1",version="7"} 1.0
# HELP connected Connected.
# TYPE connected gauge
connected{slot="0"} 0.0
connected{slot="1"} 1.0
# HELP open_orders Help of open_orders.
# TYPE open_orders gauge
open_orders 3.0
# HELP orders_total Help of orders.
# TYPE orders_total counter
orders_total 3.0
# HELP size Help of size.
# TYPE size gauge
size{slot="0"} 1.0
size{slot="1"} 2.0
# HELP took_seconds Help of took_seconds.
# TYPE took_seconds histogram
took_seconds_sum 3.0
took_seconds_bucket{le="1.0"} 1.0
took_seconds_bucket{le="+Inf"} 2.0
took_seconds_count 2.0
"""
    assert first.page() == expected
    assert second.page() == expected
    assert len(list(text_string_to_metric_families(expected))) == 7


def test_totals_survive_a_death_and_the_successor(directory: Path) -> None:
    """What was counted stays in the totals when a process dies, and its successor adds to it."""
    watching = Sibling(directory)
    for expected in (5, 10, 15):
        mortal = Sibling(directory)
        assert mortal.name == "slot1"
        mortal.registry.register(Beats(beats=5))
        mortal.metric(Counter, "orders").inc(5)
        mortal.metric(Histogram, "took_seconds", buckets=(1.0,)).observe(0.5)
        mortal.merged.publish()
        mortal.die()
        totals = [line for line in watching.samples() if not line.startswith("connected")]
        assert totals == [
            f"beats_total {expected}.0",
            f"orders_total {expected}.0",
            f"took_seconds_sum {expected / 10}",
            f'took_seconds_bucket{{le="1.0"}} {expected // 5}.0',
            f'took_seconds_bucket{{le="+Inf"}} {expected // 5}.0',
            f"took_seconds_count {expected // 5}.0",
        ]


def test_what_is_about_a_process_dies_with_it(directory: Path) -> None:
    """A dead slot's gauges go, all but those over all there ever were; a successor's begin anew."""
    modes = ("all", "liveall", "livesum", "max", "mostrecent")
    watching, mortal = Sibling(directory), Sibling(directory)
    mortal.registry.register(Beats())
    for mode in modes:
        mortal.metric(Gauge, f"g_{mode}", multiprocess_mode=mode).set(5)
    mortal.merged.publish()
    mortal.die()
    assert watching.samples() == ["beats_total 0.0", "g_max 5.0", "g_mostrecent 5.0"]
    successor = Sibling(directory)
    # The predecessor's page is not shown as the successor's.
    assert watching.samples() == ["beats_total 0.0", "g_max 5.0", "g_mostrecent 5.0"]
    for mode in modes:
        successor.metric(Gauge, f"g_{mode}", multiprocess_mode=mode)
    assert successor.samples() == [
        "beats_total 0.0",
        'g_all{slot="1"} 0.0',
        'g_liveall{slot="1"} 0.0',
        "g_livesum 0.0",
        "g_max 5.0",
        "g_mostrecent 5.0",
    ]


def test_what_was_shown_is_never_taken_back(directory: Path) -> None:
    """A count that one process has shown is in the next answer of another, though it told nobody else."""
    first, second = Sibling(directory), Sibling(directory)
    beats = Beats()
    first.registry.register(beats)
    for count in range(1, 4):
        beats.beats = count
        assert first.samples()[0] == f"beats_total {count}.0"
        assert second.samples()[0] == f"beats_total {count}.0"


def test_extras_count_too(directory: Path) -> None:
    """What a child of a worker counts is in the totals; it serves nobody and shows nothing else."""
    worker, child = Sibling(directory), Sibling(directory, Kind.EXTRA)
    for sibling in (worker, child):
        sibling.metric(Counter, "orders").inc()
        sibling.metric(Gauge, "size").set(1)
        sibling.registry.register(Beats())
        sibling.merged.publish()
    assert child.name == "extra0"
    assert worker.samples() == [
        "beats_total 0.0",
        'connected{slot="0"} 1.0',
        "orders_total 2.0",
        'size{slot="0"} 1.0',
    ]


def test_one_registry_of_several(directory: Path) -> None:
    """Files hold the values of all registries; shown is what the one asked for has in any process."""
    first, second = Sibling(directory), Sibling(directory)
    second.metric(Counter, "orders").inc()
    second.merged.publish()
    other = CollectorRegistry()
    other.register(Beats(beats=3))
    assert list(first.processes.merged(first.registry).collect()) == list(first.merged.collect())
    assert first.samples() == ["orders_total 1.0"]
    assert [family.name for family in first.processes.merged(other).collect()] == ["beats", "connected"]
    second.die()
    successor = Sibling(directory)
    # It does not have the metric yet, and nobody else has.
    assert successor.samples() == ["orders_total 1.0"]


def test_a_family_that_leaves(directory: Path) -> None:
    """A collector that is taken from the registry leaves its totals behind, and nothing else."""
    sibling, beats = Sibling(directory), Beats(beats=4)
    sibling.registry.register(beats)
    assert sibling.samples() == ["beats_total 4.0", 'connected{slot="0"} 1.0']
    sibling.registry.unregister(beats)
    assert sibling.samples() == ["beats_total 4.0"]


def test_families_without_samples(directory: Path) -> None:
    """A metric with labels that has counted nothing yet is there by name, as in a single process."""
    sibling = Sibling(directory)
    Counter("orders", "Orders.", ["channel"], registry=sibling.registry)
    assert sibling.page() == "# HELP orders_total Orders.\n# TYPE orders_total counter\n"


NOT_JSON_AS_KEY = (40).to_bytes(4, "little") + bytes(4) + (4).to_bytes(4, "little") + b"junk" * 8


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("counter_slot1.db", b"\x00", id="short"),
        pytest.param("counter_slot1.db", b"junk" * 25, id="junk"),
        pytest.param("counter_slot1.db", (1000).to_bytes(4, "little") + bytes(96), id="cut"),
        pytest.param("counter_slot1.db", NOT_JSON_AS_KEY, id="key"),
        pytest.param("slot1.json", b'{"names": ["beats"], "fam', id="half a page"),
        pytest.param("slot1.json", b"\xff", id="not text"),
    ],
)
def test_damaged_files(directory: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes) -> None:
    """A damaged file is left out and named once; a successor starts without it."""
    sibling = Sibling(directory)
    sibling.metric(Counter, "orders").inc()
    sibling.registry.register(Beats(beats=1))
    (directory / name).write_bytes(content)
    for _ in range(3):
        assert sibling.samples() == ["beats_total 1.0", 'connected{slot="0"} 1.0', "orders_total 1.0"]
    (said,) = caplog.messages
    assert said.startswith(f"left out of the metrics: {directory / name}: ")
    caplog.clear()
    if "slot1" in name:
        successor = Sibling(directory)
        (said,) = caplog.messages
        assert said.startswith(f"the totals in {directory / name} are lost: ")
        successor.metric(Counter, "orders").inc()
        assert successor.samples()[-1] == "orders_total 2.0"


def test_files_that_are_being_made(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """prometheus_client makes its files empty; one that is seen then is left out without a word."""
    sibling = Sibling(directory)
    sibling.metric(Counter, "orders").inc()
    (directory / "counter_slot1.db").touch()
    assert sibling.samples() == ["orders_total 1.0"]
    Sibling(directory)
    assert caplog.messages == []


def test_files_that_vanish(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a successor removes while another process reads is no failure."""
    sibling, mortal = Sibling(directory), Sibling(directory)
    sibling.metric(Counter, "orders").inc()
    mortal.metric(Gauge, "size").set(1)
    mortal.die()
    glob = Path.glob

    def outdated(self: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(self, pattern))
        if pattern == "gauge_*_*.db":
            (self / "gauge_all_slot1.db").unlink(missing_ok=True)
        return iter(found)

    monkeypatch.setattr(Path, "glob", outdated)
    assert sibling.samples() == ["orders_total 1.0"]


def test_a_database_beside_the_files(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of somebody else's, in a directory that was given, is neither read nor complained about."""
    sibling = Sibling(directory)
    sibling.metric(Counter, "orders").inc()
    (directory / "customers.db").write_bytes(b"SQLite format 3" + bytes(85))
    assert sibling.samples() == ["orders_total 1.0"]
    assert caplog.messages == []


def test_a_full_disk(
    directory: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no page can be written, a scrape shows what there is, and the log says once what is wrong."""
    sibling, other = Sibling(directory), Sibling(directory)
    other.registry.register(Beats(beats=2))
    other.merged.publish()
    sibling.registry.register(Beats(beats=3))

    def full(self: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for _ in range(2):
        assert sibling.samples() == ["beats_total 2.0", 'connected{slot="1"} 1.0']
    assert caplog.messages == [
        f"left out of the metrics: {directory / 'slot0.json'}: [Errno 28] No space left on device"
    ]


def test_publisher(directory: Path) -> None:
    """It publishes at once, again and again, and a last time when it is stopped."""
    first, second = Sibling(directory), Sibling(directory)
    beats = Beats(beats=1)
    first.registry.register(beats)
    publisher = Publisher(first.merged, 0.01)
    eventually(lambda: "beats_total 1.0" in second.samples(), within=5)
    beats.beats = 2
    eventually(lambda: "beats_total 2.0" in second.samples(), within=5)
    publisher.stop()
    beats.beats = 3
    slow = Publisher(first.merged, 3600)
    eventually(lambda: "beats_total 3.0" in second.samples(), within=5)
    beats.beats = 4
    slow.stop()
    assert "beats_total 4.0" in second.samples()


def test_a_collector_that_fails(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It does not end the publishing, and is named once."""

    class Failing(Beats):
        asked = 0

        def collect(self) -> Iterator[Metric]:
            self.asked += 1
            if self.asked < 4:
                raise LookupError("no database")
            return super().collect()

    sibling = Sibling(directory)
    failing = Failing(beats=1)
    sibling.registry.register(failing)
    failing.asked = 0
    publisher = Publisher(sibling.merged, 0.01)
    eventually((directory / "slot0.json").exists, within=5)
    publisher.stop()
    assert caplog.messages == [
        "metrics of this process are not told to the others: LookupError('no database')"
    ]


def test_a_stop_does_not_wait_for_a_hanging_collector(directory: Path) -> None:
    """An application's collector that hangs does not hold up its end."""
    asked, goes_on = threading.Event(), threading.Event()

    class Hanging(Beats):
        def collect(self) -> Iterator[Metric]:
            asked.set()
            goes_on.wait(30)
            return super().collect()

    sibling = Sibling(directory)
    sibling.registry.register(Hanging())
    asked.clear()
    publisher = Publisher(sibling.merged, 0.01)
    asked.wait(5)
    publisher.stop()
    assert not (directory / "slot0.json").exists()
    goes_on.set()


@pytest.mark.servers("promtool")
def test_promtool(directory: Path) -> None:
    """promtool finds nothing to say about an answer for several processes."""
    first, second = Sibling(directory), Sibling(directory)
    for sibling in (first, second):
        sibling.registry.register(Beats(beats=1))
        sibling.metric(Counter, "orders").inc()
        sibling.metric(Histogram, "took_seconds").observe(1)
        sibling.merged.publish()
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=first.page(), text=True, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
