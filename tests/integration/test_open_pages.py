"""Pages that are open while the exporter ends, whether anybody reads what it sends or not."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.processes import eventually
from tests.support.serving import COMMANDS, Serving, exporter, stream

pytestmark = pytest.mark.slow

VIEWERS = 20
AT_ONCE = 2.0
"""Seconds: less than the exporter grants a request that is under way, or a viewer that does not read."""

WRITTEN = "Application shutdown complete."
"""The server says so after the last flush. What is left is the end of the interpreter, which is nobody's
doing here and takes seconds on a machine that is busy with other tests."""


class Viewer:
    """A stream of the front page, and a thread that reads it."""

    def __init__(self, serving: Serving) -> None:
        self._connection = stream(serving)
        self._read = b""
        self._thread = threading.Thread(target=self._go_on_reading)
        self._thread.start()

    def _go_on_reading(self) -> None:
        while data := self._connection.recv(1 << 20):
            self._read = (self._read + data)[-100:]

    def last_words(self) -> bytes:
        """What came last before the stream ended."""
        self._thread.join(5.0)
        assert not self._thread.is_alive()
        return self._read

    def begun(self) -> bool:
        return b"\n\n" in self._read

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


@contextmanager
def viewers(serving: Serving, count: int) -> Iterator[list[Viewer]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(Viewer(serving))
            stack.callback(opened[-1].close)
        eventually(lambda: all(viewer.begun() for viewer in opened), within=10)
        yield opened


def restart_all(serving: Serving, boot_id: str) -> None:
    """As many workers as a page shows, as long as their names may be, and each of them changed."""
    for number in range(50):
        long = {"name": "\U00020000" * 90 + f"{number}", "group": "\U00020000" * 40}
        serving.register(f"w{number}", **long, boot_id=boot_id)


def change(serving: Serving) -> None:
    """Something that the store does not know yet: a worker connects, beats, and says goodbye."""
    serving.register("last")
    with serving.connect("last") as connection:
        connection.send(json.dumps({"type": "heartbeat", "ack": True}))
        connection.recv(timeout=5.0)
        connection.send(json.dumps({"type": "goodbye"}))
        eventually(lambda: serving.status("last") == "disconnected", within=5, every=0.01)


def ends_at_once(serving: Serving) -> int:
    """Returns the exit code."""
    asked = time.time()
    serving.process.send_signal(signal.SIGTERM)
    code = serving.process.wait(60.0)
    (written,) = [line["time"] for line in serving.log() if line["event"] == WRITTEN]
    assert datetime.fromisoformat(written).timestamp() - asked < AT_ONCE
    assert serving.complaints() == []
    return code


def was_kept(directory: Path) -> bool:
    """Whether the next exporter knows of the last change."""
    with exporter(directory, name="next") as serving:
        worker = serving.get("/workers/last")
        return (worker["status"], worker["reason"]) == ("disconnected", "shutdown")


@pytest.mark.parametrize("by", COMMANDS)
def test_open_pages_do_not_keep_the_exporter(tmp_path: Path, by: str) -> None:
    """However it was started: its streams end as they should, and what was to be written is written."""
    with exporter(tmp_path, by) as serving, viewers(serving, VIEWERS) as opened:
        assert serving.metric("heartbeat_page_viewers") == VIEWERS
        change(serving)
        ends_at_once(serving)
        assert {viewer.last_words()[-5:] for viewer in opened} == {b"0\r\n\r\n"}
    assert was_kept(tmp_path)


def test_who_does_not_read_does_not_keep_the_exporter(tmp_path: Path) -> None:
    """One is let go after a while and counted; another is not even waited for when the exporter ends."""
    with exporter(tmp_path) as serving, ExitStack() as stack:
        restart_all(serving, "0")
        stack.enter_context(viewers(serving, VIEWERS - 2))
        stack.enter_context(stream(serving, room=1024))
        for boot in range(1, 200):
            if boot == 8:  # so that it is still waited for when the first is let go
                stack.enter_context(stream(serving, room=1024))
            restart_all(serving, str(boot))
            if serving.metric("heartbeat_page_viewers_dropped_total"):
                break
        assert serving.metric("heartbeat_page_viewers_dropped_total") == 1
        assert serving.metric("heartbeat_page_viewers") == VIEWERS - 1
        change(serving)
        assert ends_at_once(serving) == 0
    assert was_kept(tmp_path)
