"""Diagnostics for people: ``file:line:col: error: message``, the source line and a caret."""

from __future__ import annotations

import sys
from typing import TextIO

from pith.passes.pipeline_diagnostics import Diagnostic

#: The file name MLIR gives to text that was parsed from memory.
IN_MEMORY = "-"


class DiagnosticPrinter:
    """A diagnostic handler that prints to ``stream`` as upstream's tools do.

    Args:
        name: what to call the input in messages.
        text: the input; its lines are shown below messages.
        stream: where to print (default: stderr at the time of printing).
    """

    def __init__(self, name: str, text: str, stream: TextIO | None = None):
        self.name = name
        self.lines = text.split("\n")
        self.stream = stream
        self.errors = 0

    def __call__(self, diagnostic) -> bool:
        self.emit(Diagnostic.from_mlir(diagnostic))
        return True

    def emit(self, diagnostic: Diagnostic) -> None:
        """Print ``diagnostic`` and its notes."""
        if is_reproducer_warning(diagnostic):
            return
        self.errors += diagnostic.severity == "error"
        stream = self.stream or sys.stderr
        stream.write(self.format(diagnostic))
        for note in diagnostic.notes:
            stream.write(self.format(note))

    def report(self, message: str) -> None:
        """Print an error that no diagnostic told."""
        self.errors += 1
        (self.stream or sys.stderr).write(f"{self.name}: error: {message}\n")

    def hint(self, text: str) -> None:
        """Print what to do about the errors so far."""
        (self.stream or sys.stderr).write(f"  hint: {text}\n")

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
        return head + (self._excerpt(diagnostic.line, diagnostic.column) if in_input else "")

    def _excerpt(self, line: int, column: int) -> str:
        if not 1 <= line <= len(self.lines):
            return ""
        text = self.lines[line - 1].rstrip("\r")
        pad = "".join("\t" if c == "\t" else " " for c in text[: max(0, column - 1)].ljust(max(0, column - 1)))
        return f"{text}\n{pad}^\n"


def is_reproducer_warning(diagnostic: Diagnostic) -> bool:
    """Whether this is the parser not knowing the reproducer section, which ``--run-reproducer`` reads itself."""
    return "unknown external resources for 'mlir_reproducer'" in diagnostic.message
