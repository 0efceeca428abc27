"""What torch writes to stderr while it exports a model: nothing twice."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

#: One export at a time swaps ``sys.stderr``; torch.export keeps global state itself.
_LOCK = threading.RLock()


class _Held(io.TextIOBase):
    """A stream that keeps what one thread writes and passes on what the others do."""

    def __init__(self, stream: TextIO):
        self._stream, self._thread = stream, threading.get_ident()
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return self._stream.write(text)
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    @property
    def text(self) -> str:
        return "".join(self._parts)


class _NotFrom(logging.Filter):
    """Refuses the records of one thread."""

    def __init__(self, thread: int):
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread


@contextlib.contextmanager
def errors_told_once() -> Iterator[None]:
    """Keep torch's logs, and when the block raises also what it printed to stderr, out of sight.

    Semantics: torch prints tracebacks and whole graphs for what it raises as well; :class:`pith.ImportProgramError`
        carries the message. When the block succeeds, what was printed follows. ``PITH_DEBUG`` and ``TORCH_LOGS`` show
        everything. Other threads are not affected.

    Example:
        >>> with errors_told_once(): print("from the model")
        from the model
    """
    if os.environ.get("PITH_DEBUG") or os.environ.get("TORCH_LOGS"):
        yield
        return
    refuse = _NotFrom(threading.get_ident())
    handlers = _torch_handlers()
    with _LOCK:
        held = _Held(sys.stderr)
        for handler in handlers:
            handler.addFilter(refuse)
        try:
            with contextlib.redirect_stderr(held):
                yield
        finally:
            for handler in handlers:
                handler.removeFilter(refuse)
        if held.text:
            sys.stderr.write(held.text)


def _torch_handlers() -> list[logging.Handler]:
    """The handlers of torch's loggers: each of its components has its own."""
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] == "torch"]
    return list({id(h): h for name in names for h in logging.getLogger(name).handlers}.values())
