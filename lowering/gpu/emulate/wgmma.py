"""``wgmma``: instructions of four warps, whose operands are descriptors and whose sums are a struct of registers.

Here sums are vectors: LLVM's code generators for CPUs do not survive a hundred values of a struct.
"""

import re

from pith._mlir import arith, ir, vector
from pith.passes.core import pass_error

from .context import Emulation
from .words import number_of

#: The runtime's element type by what the instruction calls it.
_ELEMENTS = {"f16": "f16", "bf16": "bf16", "tf32": "f32", "s8": "i8", "f32": "f32", "s32": "i32"}


def mma_async(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.wgmma.mma_async`` that adds to its sums, with factors as they are."""
    attrs, acc = op.attributes, op.operands[0]
    n, k = (int(_word(attrs["shape"], name)) for name in ("n", "k"))
    known = {"scaleD": "one", "scaleA": "one", "scaleB": "one"}
    if "satfinite" in attrs or any(_last(attrs[name]) != value for name, value in known.items()):
        pass_error(op, "has no emulation but for sums that wrap and scales of one")
    types = [_type(op, attrs[name]) for name in ("typeA", "typeB", "typeD")]
    numbers = [number_of(op, t) for t in (types[0], types[2])]
    if types[0] != types[1]:
        pass_error(op, "has no emulation but for factors of one type")
    # "col" of the lhs and "row" of the rhs: k is the slow dimension.
    transposed = [int(_last(attrs["layoutA"]) == "col"), int(_last(attrs["layoutB"]) == "row")]
    descriptors = [arith.index_castui(ir.IndexType.get(), d) for d in list(op.operands)[1:]]
    e.call("wgmma", [e.site(op), *descriptors, e.spill(op, "sums", acc), n, k, *transposed, *numbers])
    return [e.reload(op, "sums", acc.type)]


#: ``wgmma.mma_async.sp``, as ``structured/sparse_wgmma.py`` writes it.
_SPARSE = re.compile(
    r"wgmma\.mma_async\.sp\.sync\.aligned\.m64n(?P<n>\d+)k(?P<k>\d+)\.(?P<sums>\w+)\.(?P<element>\w+)\.\w+ "
    r"\{[^}]*\}, [^,]*, [^,]*, [^,]*, (?P<selector>\d), p(?:, 1, 1, 0, (?P<transposed>\d))?;"
)


def assembly(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``llvm.inline_asm`` of a sparse product: sums, descriptors of both operands, metadata."""
    found = _SPARSE.search(ir.StringAttr(op.attributes["asm_string"]).value)
    if found is None:
        pass_error(op, "has no emulation but for wgmma.mma_async.sp")
    *sums, a, b, metadata = op.operands
    index, type_ = ir.IndexType.get(), op.results[0].type
    held = e.spill(op, "sums", vector.from_elements(type_, sums))
    words = [arith.index_castui(index, x) for x in (a, b, metadata)]
    numbers = [number_of(op, ir.Type.parse(_ELEMENTS[found[name]])) for name in ("element", "sums")]
    shape = [int(found[name] or 0) for name in ("selector", "n", "k", "transposed")]
    e.call("wgmma_sp", [e.site(op), *words[:2], held, words[2], *shape, *numbers])
    return [e.reload(op, "sums", type_)]


def fence(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.wgmma.fence.aligned``."""
    e.call("wgmma_fence", [e.site(op)])
    return []


def commit(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.wgmma.commit.group.sync.aligned``."""
    e.call("wgmma_commit", [e.site(op)])
    return []


def wait(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.wgmma.wait.group.sync.aligned``."""
    e.call("wgmma_wait", [e.site(op), ir.IntegerAttr(op.attributes["group"]).value])
    return []


def fence_proxy(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.fence.proxy`` between ordinary accesses and those of the asynchronous proxy."""
    if not _last(op.attributes["kind"]).startswith("async"):
        pass_error(op, "has no emulation but for the asynchronous proxy")
    e.call("fence_proxy", [])
    return []


def extract(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``llvm.extractvalue`` of sums; where the first one is read they must be there, but for the next instruction."""
    (at,) = ir.DenseI64ArrayAttr(op.attributes["position"])
    if at == 0 and any(use.owner.name != "llvm.inline_asm" for use in op.results[0].uses):
        e.call("wgmma_settled", [e.site(op)])
    return [vector.extract(op.operands[0], [], [at])]


def hold_in_vectors(kernel: ir.Operation) -> None:
    """Change the type of sums, wherever they go, from a struct to a vector."""

    def visit(op: ir.Operation) -> ir.WalkResult:
        arguments = [a for region in op.regions for block in region.blocks for a in block.arguments]
        for value in (*op.results, *arguments):
            if found := _SUMS.fullmatch(str(value.type)):
                element = ir.Type.parse(found["element"])
                value.set_type(ir.VectorType.get([found[0].count(found["element"])], element))
        return ir.WalkResult.ADVANCE

    kernel.walk(visit, ir.WalkOrder.PRE_ORDER)


#: The struct of one instruction's sums.
_SUMS = re.compile(r"!llvm\.struct<\((?P<element>f32|i32)(?:, (?P=element))+\)>")


def _type(op: ir.Operation, attribute: ir.Attribute) -> ir.Type:
    name = _last(attribute)
    if name not in _ELEMENTS:
        pass_error(op, f"has no emulation for elements of type {name}")
    return ir.Type.parse(_ELEMENTS[name])


def _last(attribute: ir.Attribute) -> str:
    """``one`` of ``#nvvm.wgmma_scale_out<one>``."""
    return str(attribute).rpartition("<")[2].rstrip(">")


def _word(attribute: ir.Attribute, name: str) -> str:
    """``8`` of ``#nvvm.shape<m = 64, n = 8, k = 16>`` and ``n``."""
    return _last(attribute).split(f"{name} = ")[1].split(",")[0]
