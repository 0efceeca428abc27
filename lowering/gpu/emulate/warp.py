"""Warp-wide and block-wide ops on registers."""

import re

from pith._mlir import arith, ir, vector
from pith.passes.core import pass_error

from ... import builder as b
from ...builder import Index
from .context import Emulation
from .ids import WARP
from .memory import constant_of
from .words import REDUCTIONS, from_word, number_of, to_word

_ALL = 0xFFFFFFFF
#: Mirrors ``Mode`` and ``Vote`` of runtime/emulator/warp.cpp.
_MODES = {"xor": 0, "bfly": 0, "up": 1, "down": 2, "idx": 3}
_VOTES = {"all": 0, "any": 1, "ballot": 2, "uni": 3}


def _keyword(op: ir.Operation, attribute: str) -> str:
    """The last word of an enum attribute: ``up`` of ``#gpu<shuffle_mode up>``."""
    return re.findall(r"\w+", str(op.attributes[attribute]))[-1]


def _index(value: ir.Value) -> ir.Value:
    return arith.index_castui(ir.IndexType.get(), value)


def _known(value: ir.Value) -> Index:
    """An i32 as an index, now if it is constant."""
    known = constant_of(value)
    return _index(value) if known is None else known % (1 << 32)


def shuffle(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.shuffle``: as upstream lowers it, ``width`` lanes take part and bound the source lane."""
    value, offset, width = op.operands
    mode = _keyword(op, "mode")
    lanes = _known(width)
    absent = b.sub(WARP, lanes)
    mask = _ALL >> absent if isinstance(absent, int) else arith.shrui(b.value(_ALL), absent)
    clamp = absent if mode == "up" else b.sub(lanes, 1)
    return list(_shuffled(e, op, value, mode, _index(offset), mask, clamp))


def _shuffled(e: Emulation, op: ir.Operation, value: ir.Value, mode: str, offset: Index, mask: Index, clamp: Index):
    word = to_word(op, value)
    got, valid = e.call("shuffle", [e.site(op), word, _MODES[mode], offset, mask, clamp], results=2)
    i1 = ir.IntegerType.get_signless(1)
    return from_word(op, got, value.type), arith.index_castui(i1, valid)


def shfl_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.shfl.sync``."""
    mask, value, offset, clamp = op.operands
    if op.results[0].type != value.type:
        pass_error(op, "has no emulation with return_value_and_is_valid", "use gpu.shuffle")
    result, _ = _shuffled(e, op, value, _keyword(op, "kind"), _index(offset), _index(mask), _index(clamp))
    return [result]


def rotate(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.rotate``: lane l of a cluster reads lane ``(l + offset) mod width``."""
    offset, width = (ir.IntegerAttr(op.attributes[a]).value for a in ("offset", "width"))
    lane = e.call("index", [12], results=1)[0]
    within = b.mod(lane, width)
    source = b.add(b.sub(lane, within), b.mod(b.add(within, offset), width))
    value, valid = _shuffled(e, op, op.operands[0], "idx", source, _ALL, WARP - 1)
    return [value, valid]


def ballot(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.ballot``."""
    (votes,) = e.call("vote", [e.site(op), _index(op.operands[0]), _VOTES["ballot"], _ALL], results=1)
    return [arith.index_castui(op.results[0].type, votes)]


def vote_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.vote.sync``."""
    mask, predicate = op.operands
    kind = _VOTES[_keyword(op, "kind")]
    (votes,) = e.call("vote", [e.site(op), _index(predicate), kind, _index(mask)], results=1)
    return [arith.index_castui(op.results[0].type, votes)]


def match_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.match.sync`` with ``any``."""
    mask, value = op.operands
    if _keyword(op, "kind") != "any":
        pass_error(op, "has no emulation but for the kind any")
    (same,) = e.call("match", [e.site(op), to_word(op, value), 0, _index(mask)], results=1)
    return [arith.index_castui(op.results[0].type, same)]


def warp_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.bar.warp.sync``."""
    e.call("warp_barrier", [e.site(op), _index(op.operands[0])])
    return []


def subgroup_reduce(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.subgroup_reduce``, in clusters or over the warp; vectors element by element."""
    attrs = op.attributes
    size = ir.IntegerAttr(attrs["cluster_size"]).value if "cluster_size" in attrs else WARP
    stride = ir.IntegerAttr(attrs["cluster_stride"]).value if "cluster_stride" in attrs else 1
    kind, value = REDUCTIONS[_keyword(op, "op")], op.operands[0]

    def one(scalar: ir.Value) -> ir.Value:
        arguments = [e.site(op), to_word(op, scalar), kind, number_of(op, scalar.type), size, stride, _ALL]
        return from_word(op, e.call("reduce", arguments, results=1)[0], scalar.type)

    if not isinstance(value.type, ir.VectorType):
        return [one(value)]
    out = value
    for i in range(value.type.shape[0]):
        out = vector.insert(one(vector.extract(value, [], [i])), out, [], [i])
    return [out]


def redux_sync(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``nvvm.redux.sync``."""
    value, mask = op.operands
    kind = REDUCTIONS[_keyword(op, "kind")]
    arguments = [e.site(op), to_word(op, value), kind, number_of(op, value.type), WARP, 1, _index(mask)]
    return [from_word(op, e.call("reduce", arguments, results=1)[0], value.type)]


def all_reduce(e: Emulation, op: ir.Operation) -> list[ir.Value]:
    """``gpu.all_reduce`` by a named operation."""
    if "op" not in op.attributes:
        pass_error(op, "has no emulation with a body", "name the operation: gpu.all_reduce add %x")
    value = op.operands[0]
    arguments = [e.site(op), to_word(op, value), REDUCTIONS[_keyword(op, "op")], number_of(op, value.type)]
    return [from_word(op, e.call("block_reduce", arguments, results=1)[0], value.type)]
