"""The instruction set a module is lowered for: an attribute of the module, by default the host's."""

from pith._mlir import ir

from .isa import Isa, host_isa, parse_isa

#: Attribute of a module that names its instruction set, such as ``"avx2"`` or ``"emulate:amx"``.
ISA_ATTRIBUTE = "pith.isa"


def isa_of(op: ir.Module | ir.Operation | ir.OpView) -> Isa:
    """What ``pith.isa`` of the module around ``op`` names, else the host's instruction set.

    Errors: :class:`pith.UnsupportedError` for an unknown name.
    """
    module = op.operation
    while module.parent is not None:
        module = module.parent.operation
    attributes = module.attributes
    if ISA_ATTRIBUTE not in attributes:
        return host_isa()
    return parse_isa(ir.StringAttr(attributes[ISA_ATTRIBUTE]).value)


def set_isa(module: ir.Module, isa: Isa) -> None:
    """Make ``isa`` the instruction set of the module."""
    module.operation.attributes[ISA_ATTRIBUTE] = ir.StringAttr.get(isa.name)
