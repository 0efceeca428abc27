"""The ``pith`` dialect object; attributes, types and ops hang themselves onto it."""

from pith._mlir import ext


class Pith(ext.Dialect, name="pith"):
    """Sparsity as a type: hierarchical formats, run-time patterns, bounded buffers."""
