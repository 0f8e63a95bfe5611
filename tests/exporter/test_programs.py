"""Programs that are started, waited for, and ended with all the rest."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from exporter import programs
from exporter.programs import (
    Program,
    ProgramFailed,
    Programs,
    end_by_signals,
    end_undisturbed,
    fetch,
    uninterrupted,
)
from tests.support.processes import eventually, free_port


@pytest.fixture(autouse=True)
def handlers_as_found() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def python(directory: Path, code: str, name: str = "The Program", **env: str) -> Program:
    return Program(name, [sys.executable, "-c", code], env=env, directory=directory)


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a page that says hello, once, and 404 elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_fetches_past_any_proxy(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy leads out of this machine; an error is an OSError, whatever it is."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert fetch(page) == b"hello"
    with pytest.raises(OSError, match="404"):
        fetch(f"{page}missing")
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://127.0.0.1:{free_port()}")


def test_a_program_runs_in_its_own_directory(tmp_path: Path) -> None:
    """With its own variables beside those of the environment; what it says is in a log of its name."""
    program = python(
        tmp_path, "import exporter, os; print(os.getcwd(), os.environ['X'], os.environ['HOME'])", X="1"
    )
    assert program.ended
    program.start()
    eventually(lambda: program.ended, within=20)
    assert program.log == tmp_path / "the-program.log"
    assert program.log.read_text() == f"{tmp_path} 1 {os.environ['HOME']}\n"


def test_a_program_finds_this_package_and_what_the_user_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that is not installed is on no path of Python's own; what PYTHONPATH says comes first."""
    monkeypatch.setenv("PYTHONPATH", "/first:/second")
    program = python(tmp_path, "import os; print(os.environ['PYTHONPATH'])")
    program.start()
    eventually(lambda: program.ended, within=20)
    assert program.log.read_text() == f"/first:/second:{Path(__file__).parents[2]}\n"


def test_a_program_that_is_not_there_needs_no_end(tmp_path: Path) -> None:
    """Those that were started before it are ended all the same."""
    missing = Program("Missing", [str(tmp_path / "missing")], env={}, directory=tmp_path)
    with Programs() as started:
        running = started.start(python(tmp_path, "import time; time.sleep(60)"))
        with pytest.raises(FileNotFoundError):
            started.start(missing)
    assert (running.ended, missing.ended) == (True, True)


def test_waits_until_a_program_answers(tmp_path: Path, page: str) -> None:
    """Only as long as it runs."""
    with Programs() as started:
        started.start(python(tmp_path, "import time; time.sleep(60)")).wait_until_it_answers(page)


def test_a_program_that_ends_instead_of_answering_is_quoted(tmp_path: Path) -> None:
    """The end of what it said is what helps."""
    program = python(tmp_path, "import sys; sys.exit('no, thank you')")
    url = f"http://127.0.0.1:{free_port()}/"
    with Programs() as started, pytest.raises(ProgramFailed) as failed:
        started.start(program).wait_until_it_answers(url)
    assert str(failed.value) == f"The Program did not come up at {url}; it said:\nno, thank you"
    assert failed.value.exit_code == 1


def test_a_program_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And ended, with all others."""
    monkeypatch.setattr(programs, "READY_WITHIN", 0.2)
    program = python(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ProgramFailed, match="did not come up"), Programs() as started:
        started.start(program).wait_until_it_answers(f"http://127.0.0.1:{free_port()}/")
    assert program.ended


_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(60)"
)


def test_all_are_asked_before_any_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is frozen is woken, one that does not listen is killed, one that ended is no trouble."""
    monkeypatch.setattr(programs, "END_WITHIN", 1.0)
    with Programs() as started:
        stubborn = [started.start(python(tmp_path, _STUBBORN, f"Stubborn {n}")) for n in range(2)]
        frozen = started.start(python(tmp_path, "import time; time.sleep(60)", "Frozen"))
        os.kill(frozen.pid, signal.SIGSTOP)
        over = started.start(python(tmp_path, "pass", "Over"))
        for program in stubborn:
            eventually(lambda program=program: "deaf" in program.log.read_text(), within=20)  # type: ignore[misc]
        eventually(lambda: over.ended, within=20)
    assert all(program.ended for program in (*stubborn, frozen, over))


def test_a_program_can_be_started_again(tmp_path: Path) -> None:
    """As another process, with the same log."""
    program = python(tmp_path, "import os; print(os.getpid())")
    pids = []
    for _ in range(2):
        program.start()
        pids.append(program.pid)
        eventually(lambda: program.ended, within=20)
    assert program.log.read_text() == "".join(f"{pid}\n" for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_is_an_interrupt(number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal lead the same way out."""
    signal.signal(number, signal.SIG_DFL)
    end_by_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_is_ignored_stays_ignored() -> None:
    """A program started with nohup, or in the background, is not ended by what it was to be kept from."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_by_signals()
    with uninterrupted():
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_an_end_is_not_interrupted() -> None:
    """Neither by a second Ctrl-C nor by the terminal that is closed after the first."""
    end_by_signals()
    end_undisturbed()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)


def test_an_interrupt_is_held_back_and_not_lost() -> None:
    """However often it comes, it comes once, at the end of the outermost block."""
    end_by_signals()
    steps = []

    def work() -> None:
        with uninterrupted():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
                signal.raise_signal(number)
            steps.append("done")
        steps.append("beyond")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["done"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
