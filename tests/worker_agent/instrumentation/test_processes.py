"""This process as one of several, in real processes that are started in each of the ways."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SERVER = """
import multiprocessing, os, subprocess, sys, time

def start(work, *arguments, method="spawn"):
    child = multiprocessing.get_context(method).Process(target=work, args=arguments)
    child.start()
    return child
"""
"""What a program that starts processes begins with."""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


class Program:
    """A main module, run in an empty directory with a temporary directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "program.py"
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.temporary),
        }

    def run(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        self.path.write_text(SERVER + textwrap.dedent(code))
        return subprocess.run(
            [sys.executable, str(self.path)],
            capture_output=True,
            text=True,
            cwd=self.path.parent,
            env={**self.environment, **variables},
            timeout=30,
        )

    def printed(self, code: str, **variables: str) -> list[str]:
        """The lines of a run that ended well."""
        done = self.run(code, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def files(self) -> list[str]:
        """Of values, in directories of our own."""
        return sorted(path.name for path in self.temporary.rglob("*.db"))


def test_a_process_that_is_alone(program: Program) -> None:
    """Nothing changes: no directory, no variable, prometheus_client is not even imported; its slot is 0."""
    lines = program.printed("""
        from worker_agent.instrumentation import processes
        processes.prepare()
        print("prometheus_client" in sys.modules, "PROMETHEUS_MULTIPROC_DIR" in os.environ, processes.slot())
        from prometheus_client import REGISTRY, Gauge, values
        print(processes.shown(REGISTRY) is REGISTRY, values.ValueClass.__name__)
        processes.share(REGISTRY)()
    """)
    assert lines == ["False False 0", "True MutexValue"]
    assert list(program.temporary.iterdir()) == []


def test_spawned_processes(program: Program) -> None:
    """Each spawned process has a slot and one page shows all; their directory is private to them."""
    lines = program.printed("""
        def work(ready, done):
            from worker_agent.instrumentation import processes
            processes.prepare()
            from prometheus_client import REGISTRY, Counter, generate_latest
            orders = Counter("orders", "Orders.")
            orders.inc()
            with ready.get_lock():
                ready.value += 1
            while ready.value < 3:
                time.sleep(0.01)
            text = generate_latest(processes.shown(REGISTRY)).decode()
            total = next(line for line in text.splitlines() if line.startswith("orders_total"))
            child = os.popen("echo $PROMETHEUS_MULTIPROC_DIR").read().strip()
            done.put((processes.slot(), total, child, "PROMETHEUS_MULTIPROC_DIR" in os.environ))
            while ready.value < 4:
                time.sleep(0.01)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            ready, done = context.Value("i", 0), context.Queue()
            children = [start(work, ready, done) for _ in range(3)]
            for line in sorted(done.get() for _ in children):
                print(*line)
            ready.value = 4
            for child in children:
                child.join()
    """)
    assert lines == [f"{slot} orders_total 3.0  True" for slot in range(3)]
    assert program.files() == [f"counter_slot{slot}.db" for slot in range(3)]


def test_an_application_in_the_main_module(program: Program) -> None:
    """An application in the module that also starts the server is prepared when the module is imported."""
    lines = program.printed("""
        from worker_agent.instrumentation import processes
        processes.prepare()
        from prometheus_client import values
        print(__name__, values.ValueClass.__name__)

        def work():
            print(processes.slot())

        if __name__ == "__main__":
            start(work).join()
    """)
    assert lines == ["__main__ MutexValue", "__mp_main__ PlacedValue", "0"]


def test_a_fork_of_a_supervisor_serves(program: Program) -> None:
    """With an application that gunicorn's arbiter has loaded, the workers get the slots and it gets none."""
    lines = program.printed("""
        from gunicorn.arbiter import Arbiter
        arbiter = object.__new__(Arbiter)
        from worker_agent.instrumentation import processes
        processes.prepare()
        from prometheus_client import REGISTRY, Counter, generate_latest
        orders = Counter("orders", "Orders.")
        orders.inc(100)
        shown = processes.shown(REGISTRY)

        def total():
            lines = generate_latest(shown).decode().splitlines()
            return next(line for line in lines if line.startswith("orders_total"))

        arbiter.pid = os.getpid()
        for _ in range(2):
            if os.fork() == 0:
                orders.inc()
                start(orders.inc, method="fork").join()
                print(processes.slot(), total())
                os.kill(os.getpid(), 9)
            os.wait()
        print(total())
    """)
    # The second is the first one's successor.
    assert lines == ["0 orders_total 102.0", "0 orders_total 104.0", "orders_total 104.0"]
    assert program.files() == ["counter_extra0.db", "counter_extra1.db", "counter_slot0.db"]


LOADED_FIRST = """
    from worker_agent.instrumentation import processes
    processes.prepare()
    from gunicorn.arbiter import Arbiter
    from prometheus_client import REGISTRY, Counter, Gauge, generate_latest
    orders, pid = Counter("orders", "Orders."), Gauge("place", "Place.", multiprocess_mode="liveall")
    arbiter = object.__new__(Arbiter)
    arbiter.pid = os.getpid()
    for n in range(2):
        if os.fork() == 0:
            pid.set(n)
            orders.inc()
            if os.fork() == 0:
                orders.inc()
                os._exit(0)
            os.wait()
            text = generate_latest(processes.shown(REGISTRY)).decode().splitlines()
            print(processes.slot(), *[line for line in text if line.startswith(("orders_total", "place"))])
            os.kill(os.getpid(), 9)
        os.wait()
"""
"""gunicorn's BaseApplication in a program that has imported the application at its top."""


def test_an_application_that_was_loaded_before_gunicorn(program: Program) -> None:
    """Processes that nobody could prepare to be several are an error that says where to load it."""
    done = program.run(LOADED_FIRST)
    assert done.stdout == ""
    raised = [line for line in done.stderr.splitlines() if "ForkedTooLate: " in line]
    assert len(raised) == 2
    assert "Import the application in the method `load`" in raised[0]


def test_an_application_that_was_loaded_before_gunicorn_with_a_directory(program: Program) -> None:
    """With a directory it is prepared: the program has a slot for itself, and the workers the next ones."""
    assert program.printed(LOADED_FIRST, PROMETHEUS_MULTIPROC_DIR="given") == [
        '1 orders_total 2.0 place{slot="0"} 0.0 place{slot="1"} 0.0',
        '1 orders_total 4.0 place{slot="0"} 0.0 place{slot="1"} 1.0',
    ]


def test_children_of_a_worker(program: Program) -> None:
    """A worker's forked child counts too, in no slot; a spawned one is on its own."""
    lines = program.printed("""
        def count():
            from worker_agent.instrumentation import processes
            processes.prepare()
            from prometheus_client import Counter
            Counter("orders", "Orders.").inc(1000)

        def work():
            from worker_agent.instrumentation import processes
            processes.prepare()
            from prometheus_client import REGISTRY, Counter, generate_latest
            orders = Counter("orders", "Orders.")
            orders.inc(100)
            slot = processes.slot()
            start(count).join()
            for _ in range(3):
                start(orders.inc, method="fork").join()
            orders.inc(10)
            text = generate_latest(processes.shown(REGISTRY)).decode()
            print(slot, next(line for line in text.splitlines() if line.startswith("orders_total")))

        if __name__ == "__main__":
            start(work).join()
    """)
    assert lines == ["0 orders_total 113.0"]
    assert program.files() == ["counter_extra0.db", "counter_slot0.db"]


def test_children_of_a_worker_that_is_alone(program: Program) -> None:
    """What a single process spawns is none of a server's processes: nothing changes for it either."""
    lines = program.printed("""
        def work():
            from worker_agent.instrumentation import processes
            processes.prepare()
            print("PROMETHEUS_MULTIPROC_DIR" in os.environ)

        if __name__ == "__main__":
            from worker_agent.instrumentation import processes
            processes.prepare()
            processes.slot()
            start(work).join()
    """)
    assert lines == ["False"]


def test_a_server_that_a_worker_starts(program: Program) -> None:
    """A server is one, also below a process that is a worker itself, such as a test run."""
    lines = program.printed("""
        from worker_agent.instrumentation import processes
        processes.prepare()

        def work():
            print(processes.slot(), "PROMETHEUS_MULTIPROC_DIR" in os.environ)

        if __name__ == "__main__":
            if len(sys.argv) == 1:
                processes.slot()
                subprocess.run([sys.executable, __file__, "as a server"])
            else:
                start(work).join()
    """)
    assert lines == ["0 True"]


def test_a_directory_that_is_given(program: Program, tmp_path: Path) -> None:
    """PROMETHEUS_MULTIPROC_DIR makes any process one of several; it is made, and children share it."""
    code = """
        from worker_agent.instrumentation import processes
        processes.prepare()
        from prometheus_client import REGISTRY, Counter, generate_latest
        Counter("orders", "Orders.").inc()
        text = generate_latest(processes.shown(REGISTRY)).decode()
        print(processes.slot(), next(line for line in text.splitlines() if line.startswith("orders_total")))
        if len(sys.argv) < 3:
            print(os.environ["PROMETHEUS_MULTIPROC_DIR"], flush=True)
            subprocess.run([sys.executable, __file__, "as", "a child"])
    """
    lines = program.printed(code, PROMETHEUS_MULTIPROC_DIR="given/to us")
    given = tmp_path / "given" / "to us"
    # The child becomes a slot only by asking for one, as an agent of its own does.
    assert lines == ["0 orders_total 1.0", str(given), "1 orders_total 2.0"]
    assert sorted(path.name for path in given.glob("*.db")) == ["counter_extra0.db", "counter_slot0.db"]
    # Nobody is left of that run: the next one begins at nothing.
    assert program.printed(code, PROMETHEUS_MULTIPROC_DIR=str(given))[0] == "0 orders_total 1.0"


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_variables(program: Program, name: str) -> None:
    """An empty variable is none, for prometheus_client too; its older spelling counts."""
    code = """
        from worker_agent.instrumentation import processes
        processes.prepare()
        from prometheus_client import Counter, values
        print(values.ValueClass.__name__)
    """
    assert program.printed(code, PROMETHEUS_MULTIPROC_DIR="") == ["MutexValue"]
    assert program.printed(code, **{name: "given"}) == ["PlacedValue"]


TOO_LATE = (
    "worker_agent.instrumentation.processes.ImportedTooLate: import Agent from worker_agent before metrics "
    "are made: orders, took_seconds would count in one of several processes only. Put "
    "`from worker_agent import Agent` above the imports of modules that make metrics with prometheus_client"
)


def test_metrics_that_were_made_before(program: Program, tmp_path: Path) -> None:
    """Metrics that would silently count in one process only are an error that names them and the cure."""
    (tmp_path / "given").mkdir()
    done = program.run(
        """
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
        Info("build", "Has no value that could be kept in a file.")
        Gauge("nobody_has_touched", "Has no value yet.", ["label"])
        orders = Counter("orders", "Orders.", ["channel"], registry=CollectorRegistry())
        orders.labels("web")
        took = Histogram("took_seconds", "Took.")
        from worker_agent.instrumentation import processes
        processes.prepare()
        """,
        PROMETHEUS_MULTIPROC_DIR="given",
    )
    assert done.stderr.splitlines()[-1] == TOO_LATE


def test_measured_prepares_too(program: Program) -> None:
    """A module that measures its functions may make its metrics before anybody has imported the agent."""
    code = """
        from worker_agent import measured
        from prometheus_client import Counter
        refunds = Counter("refunds", "Refunds.")
        from worker_agent import Agent
    """
    assert program.printed(code, PROMETHEUS_MULTIPROC_DIR="given") == []
    assert [path.name for path in (program.path.parent / "given").glob("*.db")] == ["counter_slot0.db"]


def test_prometheus_client_may_be_imported_before(program: Program) -> None:
    """The import alone, which sorted imports put first, does no harm: metrics made later are shared."""
    code = """
        from prometheus_client import REGISTRY, Counter, generate_latest
        orders = Counter("orders", "Orders.", ["channel"])
        from worker_agent.instrumentation import processes
        processes.prepare()
        orders.labels("web").inc()
        refunds = Counter("refunds", "Refunds.")
    """
    assert program.printed(code, PROMETHEUS_MULTIPROC_DIR="given") == []
    assert [path.name for path in (program.path.parent / "given").glob("*.db")] == ["counter_slot0.db"]


def test_a_directory_that_cannot_be_made(program: Program) -> None:
    """The error names the directory."""
    (program.path.parent / "file").touch()
    done = program.run(
        "from worker_agent.instrumentation import processes; processes.prepare()",
        PROMETHEUS_MULTIPROC_DIR="file/inside",
    )
    assert done.stderr.splitlines()[-1].startswith("NotADirectoryError: ")
    assert "file/inside" in done.stderr.splitlines()[-1]
