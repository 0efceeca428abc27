"""The pith dialect: attributes, types, ops and verifiers. No rewriting code lives or is imported here."""

from pith._mlir import ir

from .dialect import Pith
from .formats import FormatAttr, LevelAttr, NmAttr, encoded_type, encoding_of, shape_of

__all__ = ["FormatAttr", "LevelAttr", "NmAttr", "Pith", "encoded_type", "encoding_of", "load", "make_context", "shape_of"]


def load(context: ir.Context | None = None) -> None:
    """Make the pith dialect known to ``context`` (default: the current one); any number of times."""
    context = context or ir.Context.current
    with context:
        if not context.is_dialect_loaded(Pith.DIALECT_NAMESPACE):
            Pith.load()


def make_context() -> ir.Context:
    """A new MLIR context with upstream's dialects and pith loaded."""
    context = ir.Context()
    load(context)
    return context
