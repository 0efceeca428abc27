"""How verifiers and passes say what is wrong: a diagnostic at the op's location."""

from pith._mlir import ir


def fail(op: ir.OpView | ir.Operation, message: str) -> bool:
    """Emit ``'pith.x' op <message>`` at ``op`` and return False (what a verifier returns)."""
    operation = op.operation
    operation.location.emit_error(f"'{operation.name}' op {message}")
    return False
