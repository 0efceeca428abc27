"""How verifiers and passes say what is wrong: a diagnostic at the op's location."""

import functools
from collections.abc import Callable

from pith._mlir import ir
from pith.errors import Error

from .structure import is_well_formed


class Misuse(Exception):
    """Raised inside a verifier; :func:`verifier` turns it into a diagnostic."""


def fail(op: ir.OpView | ir.Operation, message: str) -> bool:
    """Emit ``'pith.x' op <message>`` at ``op`` and return False (what a verifier returns)."""
    operation = op.operation
    operation.location.emit_error(f"'{operation.name}' op {message}")
    return False


def require(condition: bool, message: str, *values: object) -> None:
    """Raise :class:`Misuse` with ``message`` (it starts with ``expects``) unless ``condition`` holds.

    ``values`` fill the ``{}`` of the message, only when it is raised: printing a type costs more
    than all checks of an op together.
    """
    if not condition:
        raise Misuse(message.format(*values))


def verifier(check: Callable[[ir.OpView], None]) -> Callable[[ir.OpView], bool]:
    """Make ``check`` (which raises :class:`Misuse` or :class:`pith.Error`) the bool-returning
    verifier the bindings call. Ops that lack what ``check`` would read are left to IRDL."""

    @functools.wraps(check)
    def verify(op: ir.OpView) -> bool:
        try:
            if not is_well_formed(op):
                return True
            check(op)
        except Misuse as e:
            return fail(op, str(e))
        except Error as e:
            return fail(op, one_line(e))
        return True

    return verify


def one_line(error: Error) -> str:
    """``message; hint`` of an error, the form it takes inside a diagnostic."""
    return f"{error.message}; {error.hint}" if error.hint else error.message
