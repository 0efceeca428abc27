"""Diagnostics as data: collected from a context while passes run, with resolved positions."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from pith._mlir import ir

_SEVERITY = {
    ir.DiagnosticSeverity.ERROR: "error",
    ir.DiagnosticSeverity.WARNING: "warning",
    ir.DiagnosticSeverity.NOTE: "note",
    ir.DiagnosticSeverity.REMARK: "remark",
}


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One message: severity (error, warning, note, remark), text, position and attached notes.

    ``file`` is None when the location names no file; ``line`` and ``column`` count from 1.
    """

    severity: str
    message: str
    file: str | None = None
    line: int = 0
    column: int = 0
    notes: tuple[Diagnostic, ...] = ()

    @classmethod
    def from_mlir(cls, diagnostic: ir.Diagnostic) -> Diagnostic:
        """Copy an MLIR diagnostic (those die when the handler returns)."""
        notes = tuple(map(cls.from_mlir, diagnostic.notes))
        severity = _SEVERITY[diagnostic.severity]
        return cls(severity, diagnostic.message.strip(), *position_of(diagnostic.location), notes)

    @property
    def position(self) -> str:
        """``file:line:column``, or ``<unknown>``."""
        return f"{self.file}:{self.line}:{self.column}" if self.file is not None else "<unknown>"

    @property
    def shows_operation(self) -> bool:
        """Whether this is MLIR's note that prints the operation (for a module: all of it)."""
        return self.severity == "note" and self.message.startswith("see current operation")

    def __str__(self) -> str:
        notes = (str(note) for note in self.notes if not note.shows_operation)
        return "\n".join([f"{self.position}: {self.severity}: {self.message}", *notes])


def position_of(location: ir.Location) -> tuple[str | None, int, int]:
    """File, line and column of the first file position in ``location`` ((None, 0, 0): there is none)."""
    if isinstance(location, ir.FileLineColLoc):
        return location.filename, location.start_line, location.start_col
    if isinstance(location, ir.NameLoc):
        return position_of(location.child_loc)
    if isinstance(location, ir.CallSiteLoc):
        return position_of(location.callee)
    if isinstance(location, ir.FusedLoc):
        found = (position_of(part) for part in location.locations)
        return next((p for p in found if p[0] is not None), (None, 0, 0))
    return None, 0, 0


@contextlib.contextmanager
def collect(context: ir.Context, *, forward: bool = False) -> Iterator[list[Diagnostic]]:
    """Collect what is emitted in ``context``, in order; ``forward`` lets outer handlers see it too.

    Without ``forward``, errors end here and everything else still reaches the outer handlers.
    """
    collected: list[Diagnostic] = []

    def handle(diagnostic: ir.Diagnostic) -> bool:
        collected.append(Diagnostic.from_mlir(diagnostic))
        return collected[-1].severity == "error" and not forward

    previous = context.emit_error_diagnostics
    handler = context.attach_diagnostic_handler(handle)
    context.emit_error_diagnostics = True
    try:
        yield collected
    finally:
        context.emit_error_diagnostics = previous
        handler.detach()
