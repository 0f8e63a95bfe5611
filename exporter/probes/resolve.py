"""From names to addresses, afresh for each run.

Looking up a name blocks a thread, for as long as the resolver pleases and whatever becomes of the run: half
a minute where the name server is gone. So the lookups have threads of their own that nobody waits for at
the end of the program, and a name that is being looked up is not looked up a second time beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading

from exporter.core.probing import Failure
from exporter.probes.base import ProbeFailed
from exporter.probes.fields import IpFamily, is_address

_MOST_THREADS = 512
"""More than probes that run at once, because a lookup goes on when its probe has timed out: with fewer, the
names of one dead name server would hold up all others. They are made only when they are needed."""
_FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}

_Key = tuple[str, IpFamily | None]
_Answer = list[str] | OSError


class _Lookups:
    """Threads that call getaddrinfo; as many as were ever needed at once, up to a limit."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[_Key, asyncio.Future[_Answer]]] = queue.SimpleQueue()
        self._running: dict[tuple[asyncio.AbstractEventLoop, _Key], asyncio.Future[_Answer]] = {}
        self._threads = 0

    async def answer(self, key: _Key) -> _Answer:
        loop = asyncio.get_running_loop()
        future = self._running.get((loop, key))
        if future is None:
            future = self._running[loop, key] = loop.create_future()
            future.add_done_callback(lambda _: self._running.pop((loop, key), None))
            if len(self._running) > self._threads < _MOST_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="lookup", daemon=True).start()
            self._queue.put((key, future))
        return await asyncio.shield(future)

    def _work(self) -> None:
        while True:
            key, future = self._queue.get()
            answer = _look_up(key)
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                future.get_loop().call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[_Answer], answer: _Answer) -> None:
    if not future.done():
        future.set_result(answer)


def _look_up(key: _Key) -> _Answer:
    host, family = key
    try:
        found = socket.getaddrinfo(host, None, family=_FAMILIES[family], type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError as error:
        return OSError(str(error))
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


_lookups = _Lookups()


async def resolve(host: str, family: IpFamily | None) -> list[str]:
    """The addresses of a host, in the order in which to try them; an address is its own.

    Raises ProbeFailed.
    """
    if is_address(host):
        if not is_address(host, family):
            raise ProbeFailed(Failure.DNS, f"{host} is no IPv{family} address")
        return [host]
    answer = await _lookups.answer((host, family))
    if isinstance(answer, list):
        return answer
    version = "" if family is None else f" (as IPv{family})"
    raise ProbeFailed(Failure.DNS, f"{host} cannot be resolved{version}: {answer.strerror or answer}")
