"""Diagnostics for people: ``file:line:col: error: message``, the source line and a caret."""

from __future__ import annotations

import contextlib
import linecache
import re
import sys

from pith._mlir import ir
from pith.errors import Error
from pith.excerpts import IN_MEMORY, excerpt
from pith.passes.pipeline.diagnostics import Diagnostic

_FILE_LOCATION = re.compile(r'loc\("([^"]*)":(\d+):(\d+)\)')


class DiagnosticPrinter:
    """A diagnostic handler that prints to stderr as upstream's tools do.

    Args:
        name: what to call the input in messages.
        text: the input; its lines are shown below messages.
    """

    def __init__(self, name: str, text: str):
        self.name = name
        self.lines = text.split("\n")
        self.errors = 0

    def __call__(self, diagnostic: ir.Diagnostic) -> bool:
        with contextlib.suppress(BrokenPipeError):  # nobody reads; raising into MLIR would end the process
            self.emit(Diagnostic.from_mlir(diagnostic))
        return True

    def emit(self, diagnostic: Diagnostic) -> None:
        """Print ``diagnostic`` and its notes."""
        if is_reproducer_warning(diagnostic):
            return
        self.errors += diagnostic.severity == "error"
        sys.stderr.write(self.format(diagnostic))
        for note in diagnostic.notes:
            sys.stderr.write(self.format(note))

    def report(self, error: Exception) -> None:
        """Print an error that no diagnostic told, at its position where it has one."""
        where = _FILE_LOCATION.fullmatch(getattr(error, "where", None) or "")
        if where and isinstance(error, Error):
            self.emit(Diagnostic("error", error.message, where[1], int(where[2]), int(where[3])))
        elif isinstance(error, Error):
            self.emit(Diagnostic("error", f"{error.where}: {error.message}" if error.where else error.message))
        else:
            self.emit(Diagnostic("error", str(error)))
        if isinstance(error, Error) and error.hint:
            self.hint(error.hint)

    def hint(self, text: str) -> None:
        """Print what to do about the errors so far."""
        sys.stderr.write(f"  hint: {text}\n")

    def finish(self) -> bool:
        """Whether the diagnostics so far are no failure by themselves (a printer accepts any)."""
        return True

    def format(self, diagnostic: Diagnostic) -> str:
        """The text of one message, without its notes."""
        if diagnostic.file is None:
            return f"{self.name}: {diagnostic.severity}: {diagnostic.message}\n"
        in_input = diagnostic.file in (IN_MEMORY, self.name)
        name = self.name if in_input else diagnostic.file
        head = f"{name}:{diagnostic.line}:{diagnostic.column}: {diagnostic.severity}: {diagnostic.message}\n"
        if in_input:
            text = self.lines[diagnostic.line - 1] if 1 <= diagnostic.line <= len(self.lines) else ""
        else:
            text = linecache.getline(diagnostic.file, diagnostic.line)
        return head + (excerpt(text.rstrip("\r\n"), diagnostic.column) if text.strip() else "")


def is_reproducer_warning(diagnostic: Diagnostic) -> bool:
    """Whether this is the parser not knowing the reproducer section, which ``--run-reproducer`` reads itself."""
    return "unknown external resources for 'mlir_reproducer'" in diagnostic.message
