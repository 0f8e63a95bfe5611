"""Hear of SIGTERM and SIGINT without taking them from whoever handles them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_TERMINATION = (signal.SIGTERM, signal.SIGINT)


def on_termination(
    callback: Callable[[], None],
    *,
    hold: Callable[[int], bool] = lambda number: False,
    last_words: Callable[[], object] | None = None,
) -> Callable[[], None]:
    """Call `callback` when the process is asked to end, then the handler that was there before.

    For a program inside a server: uvicorn begins its orderly shutdown as ever, and `callback` has run
    before it. `callback` runs in the main thread between two instructions, so it must neither block
    nor log. Where nobody handles the signal the process would end at once; then `last_words`, which
    may take a moment, is called too. An ignored signal stays ignored. Elsewhere than in the main
    thread nothing can be chained and nothing is.

    Returns:
        A function that puts the earlier handlers back, except where somebody came after us.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def handle(number: int, frame: FrameType | None) -> None:
        if hold(number):
            return
        callback()
        before = earlier[signal.Signals(number)]
        if callable(before):
            before(number, frame)
        else:
            if last_words is not None:
                last_words()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # None is a handler set by other than Python code: it can neither be called nor put back.
    earlier = {
        number: handler
        for number in _TERMINATION
        if (handler := signal.getsignal(number)) is not None and handler is not signal.SIG_IGN
    }
    for number in earlier:
        signal.signal(number, handle)

    def restore() -> None:
        for number, handler in earlier.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)

    return restore
