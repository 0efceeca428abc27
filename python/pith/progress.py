"""A progress bar on a terminal's stderr; nothing anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from typing import ClassVar

#: Characters of a full bar.
_WIDTH = 30


#: Seconds of silence before calls of the API show that they work.
PATIENCE = 1.0


class ProgressBar:
    """A bar that is redrawn in place and gone at the end.

    Call it with the share that is done and what is being done.

    Args:
        delay: seconds in which nothing is shown. Then the bar appears by itself, also between calls.
    """

    #: The bars that are open: inside of one, others stay silent.
    _open: ClassVar[list[ProgressBar]] = []

    def __init__(self, delay: float = 0.0) -> None:
        self._shown = sys.stderr.isatty()
        self._start, self._delay = time.monotonic(), delay
        self._state: tuple[float, str] | None = None
        self._drawn = False
        self._drawing = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> ProgressBar:
        self._shown = self._shown and not self._open
        self._open.append(self)
        return self

    def __call__(self, done: float, text: str) -> None:
        self._state = done, text
        wait = self._start + self._delay - time.monotonic()
        if wait <= 0:
            self._draw()
        elif self._shown and self._timer is None:
            self._timer = threading.Timer(wait, self._draw)
            self._timer.daemon = True
            self._timer.start()

    def _draw(self) -> None:
        with self._drawing:
            if self._shown and self._state is not None:
                done, text = self._state
                sys.stderr.write("\r\x1b[K" + bar(done, time.monotonic() - self._start, text))
                sys.stderr.flush()
                self._drawn = True

    def clear(self) -> None:
        """Take the bar away for a line of output."""
        with self._drawing:
            if self._drawn:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                self._drawn = False

    def __exit__(self, *_: object) -> None:
        self._open.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        with self._drawing:
            self._shown = False
        self.clear()


def bar(done: float, elapsed: float, text: str) -> str:
    """One line of at most 79 characters.

    >>> bar(0.5, 60, "f32 csr")
    '[###############...............]  50 %, 60 s left: f32 csr'
    """
    done = min(max(done, 0.0), 1.0)
    full = round(_WIDTH * done)
    left = f", {elapsed / done - elapsed:.0f} s left" if done > 0 else ""
    return f"[{'#' * full}{'.' * (_WIDTH - full)}] {100 * done:3.0f} %{left}: {text}"[:79]
