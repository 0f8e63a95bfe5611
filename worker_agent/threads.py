"""Blocking calls in threads that hold nobody up: not the caller's loop, not the end of the process.

The threads of the standard executor are few, and are waited for when the interpreter ends: one call
that hangs takes a place from the others, and keeps a stopped application alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Interrupted(RuntimeError):
    """A call tried to end the process; in a thread of its own it ends nothing but itself."""


def in_daemon_thread(
    loop: asyncio.AbstractEventLoop, function: Callable[[Unpack[Ts]], T], *args: *Ts
) -> asyncio.Future[T]:
    """Call `function` in a daemon thread of its own; the future, on `loop`, gets what it returns or raises.

    Cancelling the future does not end the call: nothing can.
    """
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(settler: Callable[[Any], None], outcome: object) -> None:
        if not future.done():
            settler(outcome)

    def report(settler: Callable[[Any], None], outcome: object) -> None:
        # The loop may be closed: then nobody waits for the outcome.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, settler, outcome)

    def work() -> None:
        try:
            result = context.run(function, *args)
        except StopIteration:
            # No future takes one: it would end a generator that awaits it.
            report(future.set_exception, RuntimeError("it raised StopIteration"))
        except Exception as error:
            report(future.set_exception, error)
        except BaseException as error:
            report(future.set_exception, Interrupted(f"it raised {type(error).__name__}"))
        else:
            report(future.set_result, result)

    threading.Thread(target=work, name="heartbeat-agent-call", daemon=True).start()
    return future
