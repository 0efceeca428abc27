"""Format attributes: ``#pith.format``, ``#pith.padded``, ``#pith.level``, ``#pith.nm``.

The attributes carry structure only (Python-defined attributes have no verifier); turning one
into a :class:`pith.formats.Format` checks it, and :func:`encoding_of` is how everything else
reads a tensor's encoding.
"""

import functools

from pith._mlir import ir
from pith.errors import FormatError
from pith.formats import Format, Level, LevelExpr

from .pith import Pith


class LevelAttr(Pith.Attribute, name="level"):
    """A level without numbers: ``#pith.level<"dense">``, ``#pith.level<"compressed(nonunique)">``.

    Semantics: ``dense`` stores every coordinate, ``band(l:u)`` every diagonal from l below to u above the main one;
        ``compressed`` a list of coordinates per parent, the
        lists back to back; ``loose_compressed`` the same with gaps between lists; ``singleton``
        one coordinate per parent; ``bitmask`` one bit per coordinate. ``nonunique`` (a coordinate
        may repeat) and ``nonordered`` go with the three in the middle, separated by a comma.
    Errors: "unknown level", "unknown level property", "cannot parse level", "is always unique and
        ordered", and "the level above must be compressed or singleton" for a stray ``singleton``.
    Source: the level types of MLIR's ``sparse_tensor`` (Bik et al., TACO 2022), plus ``bitmask``.
    Example: ``#pith.level<"compressed(nonunique, nonordered)">``.
    """

    kind: ir.StringAttr


class NmAttr(Pith.Attribute, name="nm"):
    """``#pith.nm<G, H>``: at most G of every H coordinates are stored; any depth, any number of times.

    Semantics: every group of H consecutive coordinates of one parent stores exactly G of them, in
        order; a group with fewer non-empty coordinates is filled up with unused ones that hold
        zeros. ``#pith.nm<H, H>`` stores everything and no coordinates.
    Errors: "nm level expects 1 <= G <= H", "but its expression ... has", "cannot hold coordinates".
    Source: Wu et al., HighLight, MICRO 2023.
    Example: ``#pith.nm<2, 4>`` under the expression ``d1 mod 4``.
    """

    g: ir.IntegerAttr
    h: ir.IntegerAttr


class FormatAttr(Pith.Attribute, name="format"):
    """A tensor encoding: ``#pith.format<dim_to_lvl, [levels], posWidth, crdWidth, nmWidth>``.

    The map's results are the levels' coordinates, outermost first; each is ``d``,
    ``d floordiv c``, ``d mod c`` or ``(d floordiv c) mod c``; or a diagonal of a matrix, ``dA - dB``,
    which is ``band(l:u)`` or ``compressed`` and stands for a level of ``dA``. Row sharing V and block
    ranks need no syntax of their own: they are digits of the row dimension that stand
    below the ``nm`` level they share. Widths are in bits; 0 is the native index, for
    ``nm`` levels the fewest bits that hold H.

    Shapes: a tensor of the map's rank, each of whose static sizes the format's groups divide.
    Errors: "one level per map result", "as a level expression", "expects constant factors", "is stored by
        no level", "must not have a mod", "must reach single elements", "do not cut it into
        consecutive digits", "expects one level of the diagonals of a matrix", "cannot be", "has a level of
        its own", "beside diagonals", "has no diagonals", "posWidth expects" (crdWidth, nmWidth), "on a tensor
        of rank", "does not divide", and those of the levels.
    Source: the dimension-to-level map and level types of MLIR's ``sparse_tensor`` (Bik et al., TACO
        2022); hierarchical G:H of Wu et al., HighLight, MICRO 2023.
    Example: ``C1(3:4)->C0(2:4)`` is
    ``#pith.format<affine_map<(d0, d1) -> (d0, d1 floordiv 16, (d1 floordiv 4) mod 4, d1 mod 4)>,
    [#pith.level<"dense">, #pith.level<"dense">, #pith.nm<3, 4>, #pith.nm<2, 4>], 0, 0, 0>``.
    """

    dim_to_lvl: ir.AffineMapAttr
    levels: ir.ArrayAttr
    pos_width: ir.IntegerAttr
    crd_width: ir.IntegerAttr
    nm_width: ir.IntegerAttr

    @classmethod
    def from_format(cls, fmt: Format) -> "FormatAttr | PaddedAttr":
        """The attribute that says ``fmt`` (in the current context)."""
        if fmt.padded:
            return PaddedAttr.get(cls.from_format(fmt.with_padding(False)))
        results = [_affine_expr(e) for e in fmt.exprs]
        i64 = ir.IntegerType.get_signless(64)
        return cls.get(
            ir.AffineMapAttr.get(ir.AffineMap.get(fmt.rank, 0, results)),
            ir.ArrayAttr.get([_level_attr(level) for level in fmt.levels]),
            *(ir.IntegerAttr.get(i64, w) for w in (fmt.pos_width, fmt.crd_width, fmt.nm_width)),
        )

    def to_format(self) -> Format:
        """The checked pure-Python format. Errors: :class:`pith.FormatError`."""
        return _parse_format(str(self), self)


class PaddedAttr(Pith.Attribute, name="padded"):
    """A format for sizes its groups need not divide: ``#pith.padded<#pith.format<...>>``.

    Semantics: a tensor is stored as the one of its sizes rounded up would be, with zeros beyond the
        edge. Coordinates beyond the edge may be stored (a group always stores G of them); what
        reads them skips them.
    Shapes: a tensor of the format's rank.
    Errors: those of the format, but "does not divide".
    Source: the padding of N:M kernels in libraries, made explicit in the type.
    Example: ``#pith.padded<#fmt>`` on a ``tensor<5x7xf32>`` whose ``#fmt`` has groups of 4.
    """

    format: FormatAttr

    def to_format(self) -> Format:
        """The checked pure-Python format. Errors: :class:`pith.FormatError`."""
        return _padded(FormatAttr(self.format).to_format())


#: An attribute that says a format.
AnyFormat = FormatAttr | PaddedAttr


def encoding_of(type_: ir.Type) -> Format | None:
    """The pith format of a ranked tensor type, or None when it has no pith encoding.

    Errors: :class:`pith.FormatError` when the encoding is malformed or of another rank.
    """
    if not isinstance(type_, ir.RankedTensorType):
        return None
    enc = type_.encoding
    if not isinstance(enc, (FormatAttr, PaddedAttr)):
        return None
    fmt = enc.to_format()
    if fmt.rank != type_.rank:
        raise FormatError(f"format of rank {fmt.rank} on a tensor of rank {type_.rank}: {type_}")
    fmt.check_shape(shape_of(type_))
    return fmt


def format_of(type_: ir.Type) -> Format:
    """The pith format of a type known to be encoded.

    Errors: :class:`pith.FormatError` when it has no pith encoding; else as :func:`encoding_of`.
    """
    fmt = encoding_of(type_)
    if fmt is None:
        raise FormatError(f"expects a tensor with a pith encoding, got {type_}")
    return fmt


def shape_of(type_: ir.Type) -> tuple[int, ...]:
    """Shape of a shaped type with :data:`pith.formats.DYNAMIC` (-1) for dynamic sizes."""
    return tuple(-1 if type_.is_dynamic_dim(i) else type_.get_dim_size(i) for i in range(type_.rank))


def encoded_type(type_: ir.RankedTensorType, fmt: Format | None) -> ir.RankedTensorType:
    """``type_`` with the encoding ``fmt`` (None: no encoding)."""
    shape = [ir.ShapedType.get_dynamic_size() if s < 0 else s for s in shape_of(type_)]
    enc = None if fmt is None else FormatAttr.from_format(fmt)
    return ir.RankedTensorType.get(shape, type_.element_type, enc, loc=ir.Location.unknown(type_.context))


def _affine_expr(e: LevelExpr) -> ir.AffineExpr:
    out = ir.AffineExpr.get_dim(e.dim)
    if e.minus is not None:
        return out - ir.AffineExpr.get_dim(e.minus)
    if e.div > 1:
        out = ir.AffineExpr.get_floor_div(out, e.div)
    return ir.AffineExpr.get_mod(out, e.mod) if e.mod else out


def _level_attr(level: Level) -> ir.Attribute:
    if level.kind == "nm":
        i64 = ir.IntegerType.get_signless(64)
        return NmAttr.get(ir.IntegerAttr.get(i64, level.g), ir.IntegerAttr.get(i64, level.h))
    return LevelAttr.get(ir.StringAttr.get(str(level)))


@functools.cache
def _padded(fmt: Format) -> Format:
    return fmt.with_padding()


_CACHE: dict[str, Format] = {}


def _parse_format(text: str, attr: FormatAttr) -> Format:
    fmt = _CACHE.get(text)
    if fmt is None:
        map_ = ir.AffineMapAttr(attr.dim_to_lvl).value
        exprs = tuple(_level_expr(e) for e in map_.results)
        levels = tuple(_level(a) for a in ir.ArrayAttr(attr.levels))
        widths = [ir.IntegerAttr(w).value for w in (attr.pos_width, attr.crd_width, attr.nm_width)]
        fmt = Format(map_.n_dims, exprs, levels, *widths)
        _CACHE[text] = fmt
    return fmt


def _level(attr: ir.Attribute) -> Level:
    if isinstance(attr, NmAttr):
        return Level.nm(ir.IntegerAttr(attr.g).value, ir.IntegerAttr(attr.h).value)
    if isinstance(attr, LevelAttr):
        return Level.parse(ir.StringAttr(attr.kind).value)
    raise FormatError(f"expects #pith.level or #pith.nm as a level, got {attr}")


def _level_expr(expr: ir.AffineExpr) -> LevelExpr:
    div, mod = 1, 0
    e = expr
    if isinstance(e, ir.AffineAddExpr) and (difference := _difference(e)) is not None:
        return difference
    if isinstance(e, ir.AffineModExpr):
        mod, e = _constant(e.rhs, expr), e.lhs
    if isinstance(e, ir.AffineFloorDivExpr):
        div, e = _constant(e.rhs, expr), e.lhs
    if not isinstance(e, ir.AffineDimExpr):
        raise FormatError(
            f"cannot use {expr} as a level expression",
            hint="write d, d floordiv c, d mod c, (d floordiv c) mod c or d - d",
        )
    return LevelExpr(e.position, div, mod)


def _difference(expr: ir.AffineAddExpr) -> LevelExpr | None:
    """The diagonals that ``dA - dB`` numbers, however it is written; None for another sum."""
    for plus, times in ((expr.lhs, expr.rhs), (expr.rhs, expr.lhs)):
        if isinstance(plus, ir.AffineDimExpr) and isinstance(times, ir.AffineMulExpr):
            minus, factor = times.lhs, times.rhs
            if isinstance(minus, ir.AffineDimExpr) and isinstance(factor, ir.AffineConstantExpr) and factor.value == -1:
                return LevelExpr(plus.position, minus=minus.position)
    return None


def _constant(expr: ir.AffineExpr, whole: ir.AffineExpr) -> int:
    if not isinstance(expr, ir.AffineConstantExpr):
        raise FormatError(f"level expression {whole} expects constant factors")
    return expr.value
