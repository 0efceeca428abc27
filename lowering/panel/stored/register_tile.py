"""The register tile of a product: its variant, what registers hold, whether lanes are rows."""

import dataclasses

from pith._mlir import ir
from pith.formats.pack_digits import may_repeat

from ...builder import Index
from ...isa import Isa
from ...sparse.contraction import Matmul
from ...sparse.levels import Storage
from ..arithmetic import Arithmetic, bytes_of
from ..decoder import Decoder
from ..paired import in_pairs, paired_variant
from ..roles import Roles
from ..strips import in_strips
from ..variant import Variant, default_variant
from .lanes import lane_tile
from .pairs import PairTile
from .tile import RegisterTile
from .widen import Stored, in_one_piece

#: Attributes of a linalg op that the generator reads: the variant, and a divisor of the contracted size.
VARIANT_ATTRIBUTE, MULTIPLE_ATTRIBUTE = "pith.variant", "pith.multiple"


def register_tile(m: Matmul, storage: Storage, roles: Roles, cols: Index, isa: Isa) -> RegisterTile:
    """The tile for a product with ``cols`` columns, by the op's attributes or the one that suits its format."""
    arithmetic = Arithmetic.of(m)
    if arithmetic.most_terms and (not roles.has_strips or may_repeat(roles.format)):
        arithmetic = arithmetic.whole  # sums cannot be cut where they would stop being exact
    size = bytes_of(arithmetic.element)
    attributes = m.generic.op.operation.attributes
    if VARIANT_ATTRIBUTE in attributes:
        variant = Variant.parse(ir.StringAttr(attributes[VARIANT_ATTRIBUTE]).value)
    else:
        variant = default_variant(roles, cols if isinstance(cols, int) else None, size, isa)
        variant = in_strips(variant, roles, storage.density, size, isa)
    multiple = ir.IntegerAttr(attributes[MULTIPLE_ATTRIBUTE]).value if MULTIPLE_ATTRIBUTE in attributes else 1
    elements = ("", "", "") if storage.quantized else _elements(m)
    if VARIANT_ATTRIBUTE not in attributes:
        variant = paired_variant(variant, roles, elements, multiple, isa)
    vectors = max(1, variant.lanes * size // isa.vector_bytes)
    decoder = Decoder.of(storage.quantized, isa) if storage.quantized else None
    stored = Stored(storage.values, arithmetic, decoder)
    kind = PairTile if in_pairs(roles, elements, variant.lanes, multiple, isa) else RegisterTile
    native = not isa.emulated
    facts = {"native": native, "spreads": native and isa.shuffles_beside_dots, "near": isa.near_level}
    plain = kind(storage, roles, variant, multiple, vectors, arithmetic, stored, **facts)
    tile = plain if storage.quantized and not in_one_piece(storage) else lane_tile(storage, roles, plain, isa)
    if tile.exact_terms and tile.block * roles.format.exprs[1].div > tile.exact_terms:
        whole = arithmetic.whole
        return dataclasses.replace(plain, arithmetic=whole, values=Stored(storage.values, whole))
    return tile


def _elements(m: Matmul) -> tuple[str, str, str]:
    """Types of stored and of dense elements and of sums."""
    g = m.generic
    sparse, dense, sums = (str(v.type.element_type) for v in (g.inputs[g.sparse], g.inputs[m.dense], g.init))
    return sparse, dense, sums
