"""The pith dialect: attributes, types, ops and verifiers. No rewriting code lives or is imported here.

``pith`` is the dialect object, which the others hang themselves onto.

- Attributes and types: ``formats`` (``#pith.format`` and its levels), ``storage`` (the flat buffers of a type with
  one), ``pattern`` (``!pith.pattern``), ``buffer``.
- Ops on stored tensors: ``ops_format``, ``ops_prune``, ``ops_quantize``. On run-time patterns: ``ops_detect`` finds
  them, ``ops_sets`` makes them of others, ``ops_coordinates`` turns them into tensors and back, ``ops_pattern`` gathers
  and scatters what they name, ``ops_tile`` has ``pit_tile``. ``ops_attention``, ``ops_attention_grad``; ``ops_vector``
  (what kernels use).
- What definitions are made of: ``fields`` and ``diagnostics``. ``tiling`` reads the fields of a ``pit_tile``, and
  ``tiling_rules`` checks them.
- Checks of whole modules: ``verify``, and ``structure`` (operands and results are those of the definition).
"""

import threading

from pith._mlir import ir
from pith.errors import IRError

from .buffer import Buffer, BufferAttr
from .formats import FormatAttr, LevelAttr, NmAttr, PaddedAttr, encoded_type, encoding_of, format_of, shape_of
from .ops_attention import AttentionOp
from .ops_attention_grad import AttentionGradOp
from .ops_coordinates import CoordinatesOp, FromCoordinatesOp, coordinates_type
from .ops_detect import DetectByOp, DetectOp, SampleOp, TopkOp
from .ops_format import AssembleOp, CompressOp, DecompressOp, DisassembleOp, RepackOp
from .ops_pattern import SReadOp, SWriteOp, gathered_type
from .ops_prune import PruneByOp, PruneOp, ValidateOp
from .ops_quantize import DequantizeOp, DequantizeRowsOp
from .ops_sets import ComplementOp, FromLengthsOp, FromRoutingOp, IntersectionOp, UnionOp
from .ops_tile import PitTileOp, YieldOp
from .ops_vector import CompressLanesOp, DepositBitsOp, DotOp, ExtractBitsOp, PermuteOp
from .pattern import PatternShape, PatternType
from .pith import Pith
from .storage import buffer_types, storage_groups
from .tiling import Tiling, tile_type, tiling_of
from .verify import verify_module

__all__ = [
    "AssembleOp",
    "AttentionGradOp",
    "AttentionOp",
    "Buffer",
    "BufferAttr",
    "ComplementOp",
    "CompressLanesOp",
    "CompressOp",
    "CoordinatesOp",
    "DecompressOp",
    "DepositBitsOp",
    "DequantizeOp",
    "DequantizeRowsOp",
    "DetectByOp",
    "DetectOp",
    "DisassembleOp",
    "DotOp",
    "ExtractBitsOp",
    "FormatAttr",
    "FromCoordinatesOp",
    "FromLengthsOp",
    "FromRoutingOp",
    "IntersectionOp",
    "LevelAttr",
    "NmAttr",
    "PaddedAttr",
    "PatternShape",
    "PatternType",
    "PermuteOp",
    "PitTileOp",
    "Pith",
    "PruneByOp",
    "PruneOp",
    "RepackOp",
    "SReadOp",
    "SWriteOp",
    "SampleOp",
    "Tiling",
    "TopkOp",
    "UnionOp",
    "ValidateOp",
    "YieldOp",
    "buffer_types",
    "coordinates_type",
    "dump_irdl",
    "encoded_type",
    "encoding_of",
    "format_of",
    "gathered_type",
    "load",
    "make_context",
    "shape_of",
    "storage_groups",
    "tile_type",
    "tiling_of",
    "verify_module",
]


#: The bindings keep the module they load a dialect from in one place for all threads.
_LOADING = threading.Lock()


def load(context: ir.Context | None = None) -> None:
    """Make the pith dialect known to ``context`` (default: the current one); any number of times.

    Errors: :class:`pith.IRError` when no context is given and none is current.
    """
    context = context or ir.Context.current
    if context is None:
        raise IRError("no MLIR context to load pith into", hint="pass one, or call it inside `with context:`")
    with context, _LOADING:
        if not context.is_dialect_loaded(Pith.DIALECT_NAMESPACE):
            Pith.load()


def make_context() -> ir.Context:
    """A new MLIR context with upstream's dialects and pith loaded."""
    context = ir.Context()
    load(context)
    return context


def dump_irdl() -> str:
    """The dialect as an IRDL module: its structure (not the verifiers), loadable by upstream's
    tools with ``--irdl-file=``."""
    with make_context(), ir.Location.unknown():
        return str(Pith._emit_module())
