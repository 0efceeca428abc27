"""What a pass is: a frozen dataclass whose fields are its options, with one ``run`` method."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import Any, ClassVar, NoReturn

from pith._mlir import ir
from pith.errors import PassError


@dataclasses.dataclass(frozen=True)
class Pass:
    """Base class of pith's passes.

    A subclass is a frozen dataclass. Its docstring says what it does: before -> after, what it
    requires, preserves and does not do, and what it costs. Fields are the options, spelled in a
    textual pipeline as ``name{field-name=value}``; ``str``, ``int``, ``bool``, ``float`` and
    tuples of ``int`` or ``str`` (``a,b``) are understood.
    """

    name: ClassVar[str]

    def run(self, module: ir.Module) -> None:
        """Rewrite ``module`` in place; raise :class:`pith.PassError` through :func:`pass_error`."""
        raise NotImplementedError


@functools.cache
def load(spec: str) -> Any:
    """What ``"module:name"`` names. Tables of such strings import what a program needs, when it needs it.

    Example:
        >>> load("pith.passes.core:Pass")
        <class 'pith.passes.core.Pass'>
    """
    module, _, name = spec.partition(":")
    return getattr(importlib.import_module(module), name)


def pass_error(op: ir.OpView | ir.Operation, message: str, hint: str | None = None) -> NoReturn:
    """Emit ``message`` as a diagnostic at ``op`` and raise :class:`pith.PassError`."""
    operation = op.operation
    operation.location.emit_error(f"'{operation.name}' op {message}")
    raise PassError(f"'{operation.name}' op {message}", where=str(operation.location), hint=hint)
