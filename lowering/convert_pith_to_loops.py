"""``convert-pith-to-loops``: linalg on formats upstream refuses becomes scf/vector loop nests."""

import dataclasses
from typing import ClassVar

from pith._mlir import bufferization, ir
from pith.dialect import encoding_of, format_of
from pith.passes.analysis.encodings import ops_with_encodings
from pith.passes.analysis.traversal import defining_op, is_used, ops_named
from pith.passes.core import Pass, pass_error

from . import builder as b
from .epilogue.match import match_batch_epilogue
from .isa import Isa
from .linalg.tensors import few_columns, match_plain
from .module_isa import isa_of
from .panel.stored.emit import emit_panel
from .quantized import Quantized
from .replace_product import replace_product
from .sampled.template import lower_encoded_result
from .sparse.contraction import analyse, decompress_operands, encoded_operands, is_generic, match_matmul, why_not_sparse
from .sparse.decompress import emit_decompress
from .sparse.levels import DENSITY_ATTRIBUTE, Storage, storage_of
from .sparse.template_scalar import emit_scalar
from .tiled.emit import emit_tiles
from .tiled.match import match_tiles


@dataclasses.dataclass(frozen=True)
class ConvertPithToLoopsPass(Pass):
    """Lower every remaining use of a pith-encoded tensor to loops over its levels.

    Before::

        %y = linalg.generic {maps, iterators} ins(%W, %x : tensor<64x32xf32, #hss>, ...) outs(%init) {mul, add}

    After: memrefs, ``scf.parallel``, ``scf.for`` and ``vector`` ops; the tensors around the op are
    met by ``bufferization.to_buffer`` and ``to_tensor``, which one-shot bufferization resolves.

    A matrix product in any orientation, with a vector, a matrix or a batch of them, takes the panel
    template, of bf16 or int8 the tiles of a processor that has AMX (``lowering/tiled``), everything
    else the scalar one. A product of dense
    matrices whose *result* is encoded takes the template of sampled products: the result has the
    pattern of the encoded tensor in ``outs``, and what that does not store is not computed. An op that
    zeros cannot be skipped in, and further encoded operands of one op, read a decompressed copy.
    ``pith.decompress`` clears rows and scatters into them. Where values come from ``pith.dequantize``, they
    are dequantised as they are read.

    Requires: ``linalg.generic`` only (run ``linalg-generalize-named-ops``); encoded values come from
    ``pith.assemble``. Preserves: everything without a pith encoding. Does not: compute the pattern
    of a result. Cost: linear in the module; the code emitted is linear in the number of levels, times
    G per ``nm`` level, which is unrolled.
    """

    name: ClassVar[str] = "convert-pith-to-loops"
    #: ``all``; ``panel`` to lower only matrix products that have a template and leave the rest as it is, or
    #: ``sampled`` for those with encoded results alone. What reads quantised values is lowered in any case.
    templates: str = "all"

    def run(self, module: ir.Module) -> None:
        if self.templates not in ("all", "panel", "sampled"):
            pass_error(module.operation, f"expects templates to be all, panel or sampled, got {self.templates!r}")
        encoded = ops_with_encodings(module)
        for op in [op for op in encoded if op.name.startswith("linalg.")]:
            if self.templates == "sampled" and not _writes_encoded(op) and not _reads_quantized(op):
                continue
            panel_only = self.templates == "panel" and not _reads_quantized(op)
            _lower_linalg(op, isa_of(module), panel_only)
        if encoded:
            _lower_the_rest(module, only_quantized=self.templates != "all")
        if encoded and self.templates == "all":
            _require_none_left(module)


def _lower_the_rest(module: ir.Module, only_quantized: bool) -> None:
    """Lower what unpacks, and erase makers of encoded tensors that nothing reads any more."""
    makers = []
    for op in ops_named(module.operation, "pith.decompress", "pith.assemble", "pith.dequantize"):
        if op.name != "pith.decompress":
            makers.append(op)
        elif _reads_quantized(op) or not only_quantized:
            _lower_decompress(op, isa_of(module))
    for op in reversed(makers):
        if not is_used(op):
            op.erase()


def _require_none_left(module: ir.Module) -> None:
    for op in ops_with_encodings(module):
        pass_error(
            op,
            "uses an encoded tensor, which has no lowering to loops",
            "convert-pith-to-loops takes linalg.generic, pith.decompress, pith.dequantize and pith.assemble",
        )


def _lower_linalg(op: ir.Operation, isa: Isa, panel_only: bool) -> None:
    if not is_generic(op.opview):
        pass_error(op, "has an encoded operand but is not a linalg.generic", "run linalg-generalize-named-ops first")
    view = op.opview
    if _writes_encoded(op):
        lower_encoded_result(op, _storage, isa)
        return
    encoded = encoded_operands(view)
    driver = next((i for i in encoded if why_not_sparse(view, i) is None), None)
    if driver is None or len(encoded) > 1:
        if not panel_only:
            decompress_operands(op, [i for i in encoded if i != driver])
            if driver is not None:  # as a reader of dense tensors
                _lower_linalg(op, isa, panel_only)
        return
    generic = analyse(view, driver)
    matmul, tiles = match_matmul(generic), match_tiles(generic, isa)
    if panel_only and (matmul or tiles) is None:
        return
    epilogue = match_batch_epilogue(view) if tiles or (matmul and matmul.col is not None) else None
    with ir.InsertionPoint(epilogue.last if epilogue else op), op.location:
        storage = _storage(view.operands[driver])
        plain = match_plain(matmul, storage, isa) if matmul and matmul.is_plain else None
        if tiles and not (matmul and few_columns(matmul, isa)):
            result = emit_tiles(tiles, storage, epilogue)
        elif matmul and plain:
            result = plain.emit(matmul, storage, isa, epilogue)
        else:
            result = emit_panel(matmul, storage, isa, epilogue) if matmul else emit_scalar(generic, storage)
    replace_product(op, epilogue, result)


def _reads_quantized(op: ir.Operation) -> bool:
    """An operand is dequantised: no other lowering knows how."""
    return any(defining_op(v, "pith.dequantize") is not None for v in op.operands)


def _writes_encoded(op: ir.Operation) -> bool:
    return any(encoding_of(r.type) is not None for r in op.results)


def _storage(v: ir.Value) -> Storage:
    """Buffers of the ``pith.assemble`` that made ``v``, dequantised or not."""
    producer = defining_op(v)
    if producer is not None and producer.name == "pith.dequantize":
        return _quantized(producer)
    if producer is None or producer.name != "pith.assemble":
        where = producer if producer is not None else v.owner.owner
        pass_error(where, f"passes on {v.type}, which is not the result of a pith.assemble")
    view = producer.opview
    sizes = iter(view.sizes)
    shape = [next(sizes) if v.type.is_dynamic_dim(d) else v.type.get_dim_size(d) for d in range(v.type.rank)]
    storage = storage_of(format_of(v.type), shape, view.buffers)
    said = producer.attributes
    density = ir.FloatAttr(said[DENSITY_ATTRIBUTE]).value if DENSITY_ATTRIBUTE in said else None
    return dataclasses.replace(storage, density=density)


def _quantized(op: ir.Operation) -> Storage:
    """The source of a ``pith.dequantize``, which says what its values stand for."""
    source, scales, zero_points = op.operands
    storage = _storage(source)
    scales, zero_points = b.buffer_of(scales), b.buffer_of(zero_points)
    group = ir.IntegerAttr(op.attributes["group"]).value
    quantized = Quantized(storage.values, scales, zero_points, group, source.type.element_type.width)
    return dataclasses.replace(storage, quantized=quantized)


def _lower_decompress(op: ir.Operation, isa: Isa) -> None:
    """Rows of zeros, and what is stored over them."""
    type_ = op.results[0].type
    with ir.InsertionPoint(op), op.location:
        out = emit_decompress(_storage(op.operands[0]), type_, isa.vector_bytes)
        result = bufferization.to_tensor(type_, out, restrict=True, writable=True)
    op.results[0].replace_all_uses_with(result)
    op.erase()
