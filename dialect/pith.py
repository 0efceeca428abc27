"""The ``pith`` dialect object; attributes, types and ops hang themselves onto it.

The module has the dialect's name because the bindings look for one: to give a type or attribute
its Python class they import ``<prefix>.<dialect>`` for every registered prefix, and while that
fails they try again at every single cast (0.1 to 0.2 ms each, most of the cost of a verifier).
"""

from pith._mlir import add_dialect_prefix, ext

add_dialect_prefix(__name__.rpartition(".")[0])


class Pith(ext.Dialect, name="pith"):
    """Sparsity as a type: hierarchical formats, run-time patterns, bounded buffers."""
