"""The text of ``#pith.format`` without MLIR, so that cached kernels are found without loading it."""

from __future__ import annotations

from ..errors import FormatError
from .buffers import buffer_specs
from .format import Format


def format_attribute(fmt: Format) -> str:
    """What ``FormatAttr.from_format(fmt)`` parses from.

    Errors: :class:`pith.FormatError` for what the IR cannot say: a level of one coordinate (MLIR folds ``d1 mod 1``
        to 0), and coordinates wider than the bytes of a bitmask (``pith.assemble`` has one type for both).

    >>> print(format_attribute(Format.csr()))
    #pith.format<affine_map<(d0, d1) -> (d0, d1)>, [#pith.level<"dense">, #pith.level<"compressed">], 32, 32, 0>
    """
    _require_expressible(fmt)
    dims = ", ".join(f"d{i}" for i in range(fmt.rank))
    exprs = ", ".join(str(e) for e in fmt.exprs)
    levels = ", ".join(
        f"#pith.nm<{level.g}, {level.h}>" if level.kind == "nm" else f'#pith.level<"{level}">' for level in fmt.levels
    )
    widths = f"{fmt.pos_width}, {fmt.crd_width}, {fmt.nm_width}"
    text = f"#pith.format<affine_map<({dims}) -> ({exprs})>, [{levels}], {widths}>"
    return f"#pith.padded<{text}>" if fmt.padded else text


def _require_expressible(fmt: Format) -> None:
    for expr, level in zip(fmt.exprs, fmt.levels):
        if expr.mod == 1:
            problem, hint = f"its level {expr} : {level} has one coordinate", "leave the level out"
            raise FormatError(f"no kernel for format {fmt}: {problem}", hint=hint)
    specs = [spec for spec in buffer_specs(fmt) if fmt.levels[spec.level].kind in ("nm", "bitmask")]
    packed = {spec.storage_bits for spec in specs if spec.role != "positions"}
    if len(packed) > 1:
        raise FormatError(
            f"no kernel for format {fmt}: coordinates of {max(packed)} bits beside a bitmask",
            hint="groups of at most 256, or a list (*) in place of the bitmask",
        )
