"""A progress bar on a terminal's stderr; nothing anywhere else."""

from __future__ import annotations

import sys
import time

#: Characters of a full bar.
_WIDTH = 30


class ProgressBar:
    """A bar that is redrawn in place and gone at the end.

    Call it with the share that is done and what is being done.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __call__(self, done: float, text: str) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K" + bar(done, time.monotonic() - self._start, text))
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the bar away for a line of output."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
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
